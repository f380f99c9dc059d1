(ns errand.remote-test
  "An engine that is a control plane elsewhere: the same functions, answers and errors."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :refer [await-true code ended? thrown within]]
            [errand.flow :as flow]
            [errand.plane :as plane :refer [with-plane]]
            [errand.scenarios-test :as scenarios]
            [errand.worker :as worker])
  (:import [errand.impl Engine]
           [java.io File]
           [java.security MessageDigest]
           [java.util.concurrent CompletableFuture TimeUnit]))

(set! *warn-on-reflection* true)

(deftest a-control-plane-does-what-the-scenarios-say
  (with-plane plane
    (doseq [[n {:keys [file scenario] :as all}] (map-indexed vector (scenarios/scenarios))]
      (testing (str file ": " scenario)
        (with-open [engine (errand/open (plane/url plane) {:workspace (str "scenario-" n) :api-key "any"})]
          (is (nil? (scenarios/check engine all))))))))

(deftest options-are-those-of-the-kind-of-engine
  (let [message (fn [place options] (ex-message (thrown (errand/open place options))))]
    (is (= ":sync is a database's option and does not apply here (allowed: :workspace, :on-event, :api-key, :retry-for)"
           (message "http://127.0.0.1:1" {:sync "normal"})))
    (is (= ":api-key is a control plane's option and does not apply here (allowed: :workspace, :on-event, :sync, :create?, :fallback-poll, :busy-timeout, :resources, :retention, :retention-by-type, :prune-every)"
           (message "jobs.db" {:api-key "x"})))
    (is (str/starts-with? (message "http://127.0.0.1:1" {:api-kye "x"}) ":api-kye is unknown; did you mean :api-key?"))
    (is (not (str/includes? (message "http://127.0.0.1:1" {:api-key 7777}) "7777")))
    (is (= :invalid-argument (code (thrown (errand/open "http://" {})))))
    (is (= :invalid-argument (code (thrown (errand/open "http://me:secret@host" {})))))))

(deftest nobody-at-an-address-is-unavailable
  (with-open [engine (errand/open "http://127.0.0.1:9" {:retry-for "100ms"})]
    (is (= "http://127.0.0.1:9" (.-place ^Engine engine)))
    (let [failure (thrown (errand/list-jobs engine))]
      (is (= :unavailable (code failure)))
      (is (:errand/retry? (ex-data failure)))
      (is (str/includes? (ex-message failure) "http://127.0.0.1:9")))))

(deftest waits-over-http-are-woken-interrupted-cancelled-and-closed
  (with-plane plane
    (let [engine (errand/open (plane/url plane) {})
          id (:job-id (errand/submit engine {:job-type "t"}))
          await-it (fn [] (errand/await-job engine id {:interval "1h" :timeout "1m"}))
          interrupted (promise)
          waiting (Thread. ^Runnable (fn [] (deliver interrupted (thrown (await-it)))))
          future (errand/await-async engine id {:timeout "1m"})
          closing (promise)
          woken (promise)]
      (.start waiting)
      (is (= "queued" (:status (errand/job engine id))))
      (.interrupt waiting)
      (is (instance? InterruptedException (within interrupted)))
      (is (ended? waiting))
      (is (.cancel ^CompletableFuture future true))
      (doto (Thread. ^Runnable (fn [] (deliver woken (await-it)))) .start)
      (errand/cancel! engine id)
      (is (= "cancelled" (:status (within woken))))
      (let [open (:job-id (errand/submit engine {:job-type "t"}))]
        (doto (Thread. ^Runnable (fn [] (deliver closing (thrown (errand/await-job engine open {:timeout "1m"}))))) .start)
        (errand/job engine open)
        (errand/close engine)
        (is (= :closed (code (within closing))))
        (is (= :closed (code (thrown (errand/job engine open)))))))))

(deftest a-flow-and-its-worker-work-over-http
  (with-plane plane
    (with-open [engine (errand/open (plane/url plane))]
      (let [worker (worker/start! (fn [{:keys [payload]}]
                                    (worker/progress! {:message "half"})
                                    {:summary "done" :outputs (update payload :n inc)})
                                  {:engine engine :job-type "count" :concurrency 2})]
        (binding [errand/*engine* engine]
          (let [queued (flow/step :job :submit {:op :submit :job-type "count" :payload {:n 1 :r 1/3 :s #{:a}}})
                job (flow/step :job :await {:op :await :job-id (:job-id queued) :timeout "30s"})]
            (is (= "succeeded" (:status job)))
            (is (= {:n 2 :r 1/3 :s #{:a}} (get-in job [:result :outputs])))))
        (is (= 1 (:handled-count (worker/stop! worker))))))))

(deftest the-ambient-engine-may-be-a-control-plane
  (with-plane plane
    (let [folder (:folder plane)
          form '(prn [(str (errand/current)) (:job-type (errand/submit {:job-type "ambient"}))])
          run (fn [name & env]
                (is (.waitFor ^Process (apply plane/start-jvm folder name form env) 60 TimeUnit/SECONDS))
                (slurp (io/file folder (str name ".out"))))]
      (is (= [(str "#<errand engine " (plane/url plane) ", workspace reviews>") "ambient"]
             (edn/read-string (run "jvm-url" (str "BREYTA_API_URL=" (plane/url plane)) "BREYTA_WORKSPACE=reviews"))))
      (is (str/includes? (run "jvm-db" "ERRAND_DB=ambient.db" (str "BREYTA_API_URL=" (plane/url plane))) "ambient.db, workspace"))
      (is (str/includes? (run "jvm-workspace" "ERRAND_DB=ambient.db" "ERRAND_WORKSPACE=reviews")
                         "ambient.db, workspace reviews"))
      (is (= "" (run "jvm-both" "ERRAND_DB=ambient.db" (str "ERRAND_API_URL=" (plane/url plane)))))
      (is (str/includes? (slurp (io/file folder "jvm-both.err")) "ERRAND_DB and ERRAND_API_URL are both given")))))

;; The storm

(def ^:private jobs
  "A long storm is made with ERRAND_TEST_JOBS=5000: then a third of them is in 50 batches."
  (parse-long (or (System/getenv "ERRAND_TEST_JOBS") "300")))

(def ^:private handler
  ["#!/bin/sh"
   "set -e"
   "echo \"$BREYTA_JOB_ID\" >> handled.txt"
   "if grep -q '\"attach\"' \"$BREYTA_JOB_PAYLOAD_FILE\"; then"
   "  n=$(sed -n 's/.*\"n\": *\\([0-9]*\\).*/\\1/p' \"$BREYTA_JOB_PAYLOAD_FILE\")"
   "  seq \"$n\" $((n + 999)) > \"$BREYTA_JOB_DIR/lines.txt\""
   "  breyta jobs worker attach-file --file \"$BREYTA_JOB_DIR/lines.txt\" --label lines"
   "  breyta jobs worker attach-kv --label value --value-file \"$BREYTA_JOB_PAYLOAD_FILE\""
   "  breyta jobs worker attach-table --label rows --rows \"[{\\\"n\\\": $n}, {\\\"n\\\": $((n + 1))}]\""
   "fi"
   "exec breyta jobs worker finish --outputs \"$(cat \"$BREYTA_JOB_PAYLOAD_FILE\")\""])

(defn- payload
  "Every fourth job leaves artifacts."
  [n]
  (cond-> {:n n} (zero? (long (mod n 4))) (assoc :attach true)))

(defn- sha-256 [^String text]
  (vec (.digest (MessageDigest/getInstance "SHA-256") (.getBytes text "UTF-8"))))

(defn- attached
  "What of a job's artifacts is not as its handler left it. Handlers in a JVM have no files."
  [engine {:keys [payload result worker-id]}]
  (let [n (long (:n payload))
        uris (into {} (map (juxt :label :resource-uri)) (:artifacts result))
        expected (when (:attach payload)
                   (cond-> {"value" payload, "rows" [{:n n} {:n (inc n)}]}
                     (not (str/starts-with? worker-id "jvm"))
                     (assoc "lines" (sha-256 (str/join (map #(str % "\n") (range n (+ n 1000))))))))
        found (into {} (for [[label uri] uris]
                         [label (cond-> (errand/resource engine uri) (= "lines" label) sha-256)]))]
    (when-not (= (or expected {}) found)
      [payload worker-id uris])))

(defn- start-worker [plane ^File folder n]
  (plane/start folder (str "worker-" n)
               plane/program "jobs" "worker" "run" "--api" (plane/url plane) "--type" "storm" "--handler" "./handler.sh"
               "--worker-id" (str "http-" n) "--concurrency" "2" "--lease-duration" "30s"))

(defn- storm-form
  "What a JVM over HTTP does: submits jobs and works on some of them, and says how its own ended."
  [url from n]
  `(with-open [engine# (errand.core/open ~url {:api-key "any"})]
     (let [worker# (errand.worker/start! errand.plane/work
                                         {:engine engine# :job-type "storm" :worker-id "jvm-http"})
           ids# (mapv (fn [payload#] (:job-id (errand.core/submit engine# {:job-type "storm" :payload payload#})))
                      ~(mapv payload (range from (+ from n))))
           ended# (mapv (fn [id#] (errand.core/await-job engine# id# {:timeout "20m"})) ids#)]
       (errand.worker/stop! worker#)
       (prn (count (filter (fn [job#] (= (:payload job#) (get-in job# [:result :outputs]))) ended#)))
       (shutdown-agents)
       (System/exit 0))))

(defn- ended-count [engine]
  (get-in (errand/stats engine) [:counts :succeeded]))

(defn- restart-in-the-middle!
  "Ends the control plane and starts it again, once a third of the jobs have ended."
  [plane engine]
  (loop []
    (when (< (long (ended-count engine)) (quot (long jobs) 3))
      (Thread/yield)
      (java.util.concurrent.locks.LockSupport/parkNanos 20000000)
      (recur)))
  (plane/end! plane)
  (plane/again! plane))

(defn- all-jobs [engine]
  (loop [all [] cursor nil]
    (let [{:keys [items next-cursor]} (errand/list-jobs engine (cond-> {:full? true :limit 500} cursor (assoc :cursor cursor)))
          all (into all items)]
      (if next-cursor
        (recur all next-cursor)
        all))))

(deftest a-storm-over-http-and-on-the-store-completes-every-job-once-through-a-restart
  (with-plane plane
    (let [folder ^File (:folder plane)
          third (quot (long jobs) 3)
          batches (max 1 (quot (long jobs) 100))
          in-batch (max 1 (quot third batches))]
      (doto (io/file folder "handler.sh")
        (spit (str/join "\n" handler))
        (.setExecutable true))
      (with-open [engine (errand/open (io/file folder "jobs.db") {:sync "normal"})]
        (let [workers (mapv #(start-worker plane folder %) (range 3))
              jvm (plane/start-jvm folder "jvm" (storm-form (plane/url plane) 0 third))
              own (worker/start! plane/work
                                 {:engine engine :job-type "storm" :worker-id "jvm-store"})]
          (try
            (let [singles (mapv #(:job-id (errand/submit engine {:job-type "storm" :payload (payload %)})) (range third (* 2 third)))
                  batches (vec (for [b (range batches)]
                                 (:batch-id (errand/submit-batch
                                             engine {:job-type "storm"
                                                     :jobs (for [n (range in-batch)] {:payload (assoc (payload n) :b b)})}))))]
              (restart-in-the-middle! plane engine)
              (doseq [id batches]
                (is (= "completed" (:status (errand/await-batch engine id {:timeout "20m"})))))
              (doseq [id singles]
                (is (= "succeeded" (:status (errand/await-job engine id {:timeout "20m"})))))
              (is (.waitFor ^Process jvm 20 TimeUnit/MINUTES))
              (is (= third (edn/read-string (slurp (io/file folder "jvm.out")))) (slurp (io/file folder "jvm.err"))))
            (let [all (all-jobs engine)]
              (is (= (+ (* 2 third) (* batches in-batch)) (count all)))
              (is (empty? (remove #(= (:payload %) (get-in % [:result :outputs])) all)))
              (is (empty? (keep #(attached engine %) all)))
              ;; A claim whose answer was lost with the server is released: no handler saw it.
              (is (empty? (remove #(= ["succeeded"] (remove #{"released"} (map :outcome (:attempts %)))) all)))
              (is (= #{"http-0" "http-1" "http-2" "jvm-http" "jvm-store"} (set (map :worker-id all)))))
            (finally
              (worker/stop! own)
              (run! plane/stop! workers)
              (.destroy ^Process jvm)))
          (let [handled (str/split-lines (slurp (io/file folder "handled.txt")))]
            (is (= (count handled) (count (set handled))) "no handler ran twice for one job")))))))
