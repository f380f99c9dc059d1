(ns errand.resource-test
  (:require [clojure.test :refer [deftest is]]
            [errand.core :as errand]
            [errand.fixtures :refer [code thrown with-engine]])
  (:import [errand.impl Server]
           [java.io InputStream]
           [java.net URI]
           [java.net.http HttpClient HttpRequest HttpRequest$BodyPublishers HttpResponse$BodyHandlers]
           [java.util Arrays]))

(set! *warn-on-reflection* true)

(defn- claimed []
  (errand/submit {:job-type "t"})
  (errand/claim! {:job-type "t" :worker-id "me"}))

(deftest a-value-comes-back-as-it-was
  (with-engine [engine]
    (let [job (claimed)
          value {:a [1 2.5 :k \c nil] "s" #{1} :b/c 1/3}
          artifact (errand/attach-kv! job {:label "v" :value value})]
      (is (= [{:label "v" :kind "kv"}] (map #(select-keys % [:label :kind]) (:artifacts (:result (errand/job (:job-id job)))))))
      (is (= value (errand/resource (:resource-uri artifact))))
      (is (= (str "job:" (:job-id job) ":v") (:key artifact) (:key (errand/resource-info (:resource-uri artifact)))))
      (is (nil? (errand/resource (:resource-uri (errand/attach-kv! engine job {:label "nil" :value nil})))))
      (is (= :lease-lost (code (thrown (errand/attach-kv! (assoc job :lease-token "x") {:label "v" :value 1})))))
      (errand/delete-resource! (:resource-uri artifact))
      (is (= :not-found (code (thrown (errand/resource (:resource-uri artifact)))))))))

(deftest a-table-is-read-whole-and-queried
  (with-engine [engine]
    (let [job (claimed)
          rows (mapv (fn [n] {:n n :parity (if (even? n) :even :odd)}) (range 12000))
          _ (errand/attach-table! job {:label "t" :rows (subvec rows 0 7000) :index-fields [:parity :n]})
          uri (:resource-uri (errand/attach-table! job {:label "t" :rows (subvec rows 7000)}))]
      (is (= rows (errand/resource uri)))
      (is (= {:rows [{:n 11999} {:n 11997}] :count 2 :page {:limit 2 :offset 0 :has-more true}}
             (select-keys (errand/table-query uri {:where [[:parity "=" :odd]] :sort [[:n "desc"]] :select [:n] :limit 2})
                          [:rows :count :page])))
      (is (= 12000 (:row-count (errand/resource-info engine uri))))
      (is (= [uri] (map :uri (:items (errand/list-resources {:job-id (:job-id job) :type "table"})))))
      (errand/attach-table! job {:label "u" :rows [{:id 1 :a 1}] :write-mode "upsert" :key-fields [:id]})
      (let [u (errand/attach-table! job {:label "u" :rows [{:id 1 :b 2}] :write-mode "upsert"})]
        (is (= [{:id 1 :a 1 :b 2}] (errand/resource (:resource-uri u))))))))

(deftest a-file-is-text-or-data-or-a-stream-by-its-content-type
  (with-engine [engine]
    (let [^Server server (errand/serve! engine {:listen "127.0.0.1:0" :no-auth? true :drain-time 0})
          url (.url server)
          post (fn [^String method ^String path ^String type ^bytes body]
                 (let [request (-> (HttpRequest/newBuilder (URI. (if (.startsWith path "http") path (str url path))))
                                   (.header "Content-Type" type)
                                   (.method method (HttpRequest$BodyPublishers/ofByteArray body))
                                   .build)]
                   (.body (.send (HttpClient/newHttpClient) request (HttpResponse$BodyHandlers/ofString)))))
          upload (fn [name type ^bytes content]
                   (let [begun (post "POST" "/api/files/uploads/init" "application/json"
                                     (.getBytes (format "{\"filename\":\"%s\",\"content-type\":\"%s\"}" name type)))
                         [_ uri] (re-find #"\"uri\":\"([^\"]+)\"" begun)
                         [_ put] (re-find #"\"upload-url\":\"([^\"]+)\"" begun)]
                     (post "PUT" put type content)
                     uri))
          bytes (byte-array (map unchecked-byte (range 2000000)))]
      (try
        (is (= "# Grüße\n" (errand/resource (upload "a.md" "text/markdown; charset=utf-8" (.getBytes "# Grüße\n" "UTF-8")))))
        (is (= {:a [1 'b]} (errand/resource (upload "a.edn" "application/edn" (.getBytes "{:a [1 b]}")))))
        (let [uri (upload "a.bin" "application/octet-stream" bytes)]
          (with-open [^InputStream in (errand/resource uri)]
            (is (= (bit-and 0xff (aget bytes 0)) (.read in)))
            (is (Arrays/equals (Arrays/copyOfRange bytes 1 (alength bytes)) (.readAllBytes in)))
            (is (= -1 (.read in))))
          (is (= 10 (:next-offset (errand/resource uri {:limit 10})))))
        (finally
          (.close server))))))

(deftest what-has-ended-is-pruned
  (with-engine [engine {:sync "normal" :retention "7d" :retention-by-type {"short" "1h"}}]
    (let [job (claimed)]
      (errand/complete! job {})
      (is (= {:keep-ms 604800000 :by-type {"short" 3600000}} (errand/retention! engine)))
      (is (= {:jobs 0 :batches 0 :resources 0} (errand/prune!)))
      (is (= {:jobs 1 :batches 0 :resources 0} (errand/prune! {:older-than 0})))
      (is (= :not-found (code (thrown (errand/job (:job-id job)))))))))
