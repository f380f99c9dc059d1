(ns errand.serve-test
  "An engine that is served over HTTP from this JVM."
  (:require [clojure.edn :as edn]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :refer [code thrown with-engine]])
  (:import [errand.impl Server]
           [java.net ConnectException URI]
           [java.net.http HttpClient HttpRequest HttpRequest$BodyPublishers HttpResponse HttpResponse$BodyHandlers]))

(set! *warn-on-reflection* true)

(defn- ask [^Server server token body]
  (let [request (-> (HttpRequest/newBuilder (URI. (str (.url server) "/api/commands")))
                    (.header "Content-Type" "application/edn")
                    (.header "Authorization" (str "Bearer " token))
                    (.POST (HttpRequest$BodyPublishers/ofString (pr-str body)))
                    (.build))
        ^HttpResponse response (.send (HttpClient/newHttpClient) request (HttpResponse$BodyHandlers/ofString))]
    (edn/read-string (.body response))))

(deftest a-served-engine-answers-on-its-port-until-it-is-closed
  (with-engine [engine]
    (let [job (errand/submit {:job-type "t" :payload {:a/b [1 2]}})
          server (errand/serve! engine {:listen "127.0.0.1:0" :drain-time "0ms"})
          get-job {:command "jobs.get" :args {:job-id (:job-id job)}}]
      (is (pos? (.port server)))
      (is (str/ends-with? (.url server) (str ":" (.port server))))
      (testing "with the token of this run, the same job"
        (is (= {:ok true :workspace-id "default" :data {:job job}} (ask server (.token server) get-job))))
      (testing "without it, nothing"
        (is (= "unauthenticated" (-> (ask server "wrong" get-job) :error :code))))
      (.close server)
      (.close server)
      (is (instance? ConnectException (thrown (ask server (.token server) get-job))))
      (testing "the engine goes on"
        (is (= job (errand/job (:job-id job))))))))

(deftest keys-are-made-changed-and-revoked-and-a-server-heeds-it-at-once
  (with-engine [engine]
    (let [account (errand/create-service-account! {:name "readers" :capabilities ["jobs.read"]})
          account-id (:service-account-id account)
          {:keys [secret key-id]} (errand/create-key! account-id {:name "k" :expires-at #inst "2100-01-01"})
          listing {:command "jobs.list"}]
      (is (= account (errand/service-account account-id)))
      (is (= [account] (:items (errand/list-service-accounts))))
      (is (= [key-id] (map :key-id (:items (errand/list-keys account-id)))))
      (is (not-any? :secret (:items (errand/list-keys account-id))))
      (with-open [server (errand/serve! {:listen "127.0.0.1:0" :drain-time 0})]
        (is (nil? (.token server)))
        (is (:ok (ask server secret listing)))
        (is (= "forbidden" (-> (ask server secret {:command "jobs.create" :args {:job-type "t"}}) :error :code)))
        (errand/update-service-account! account-id {:status "disabled"})
        (is (= "unauthenticated" (-> (ask server secret listing) :error :code)))
        (errand/update-service-account! account-id {:status "active"})
        (is (:ok (ask server secret listing)))
        (is (= "revoked" (:status (errand/revoke-key! key-id))))
        (is (= "unauthenticated" (-> (ask server secret listing) :error :code)))))))

(deftest a-server-that-cannot-be-is-an-error
  (with-engine [engine]
    (is (= :invalid-argument (code (thrown (errand/serve! {:listen "nowhere"})))))
    (is (= :invalid-argument (code (thrown (errand/serve! {:listen "0.0.0.0:0"})))))
    (is (= :invalid-argument (code (thrown (errand/serve! {:lissen "127.0.0.1:0"})))))
    (let [server (errand/serve! engine {:listen "127.0.0.1:0" :drain-time 0})]
      (errand/close engine)
      (is (instance? ConnectException (thrown (ask server (.token server) {:command "jobs.list"})))))))
