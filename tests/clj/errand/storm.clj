(ns errand.storm
  "A JVM in a storm: it submits, cancels and awaits, and works on jobs, until it is killed, and says each thing only
  after it was answered. tests/storm starts it, and checks what it said; tests/storm/roles.rs is the same for Rust."
  (:require [errand.core :as errand]
            [errand.worker :as worker]))

(set! *warn-on-reflection* true)

(def ^:private deeds
  ["plain" "artifacts" "plain" "cancel" "plain" "retry" "plain" "artifacts" "fail" "plain"])

(defn- say
  "Says something outside, in one write."
  [& words]
  (let [line (str "said " (apply str (interpose " " words)) "\n")]
    (locking *out*
      (.print System/out line)
      (.flush System/out))))

(defn- handle
  "Does what the payload says, as the handler script of tests/storm/players.rs; files it does not attach."
  [{:keys [job-id attempt payload]}]
  (say "run" job-id attempt)
  (let [{n :n deed :do} payload]
    (case deed
      "artifacts" (do (worker/attach-kv! {:label "value" :value {:n n}})
                      (worker/attach-table! {:label "rows" :write-mode "upsert" :key-fields [:id]
                                             :rows [{:id 1 :n n} {:id 2 :n n}]}))
      "retry" (when (= 1 attempt)
                (throw (ex-info "try again" {:errand/retryable true})))
      "fail" (throw (ex-info "no" {:errand/code "no"}))
      "cancel" (Thread/sleep 300)
      (Thread/sleep (long (rand-int 40))))
    {:outputs {:n n :by "jvm"}}))

(defn- job [name number deed]
  {:payload {:n (str name "-" number) :do deed} :max-attempts 100})

(defn- submit-wave! [engine name]
  (let [ids (vec (map-indexed
                  (fn [number deed]
                    (let [id (:job-id (errand/submit engine (assoc (job name number deed) :job-type "t")))]
                      (say "acknowledged" id)
                      (when (= "cancel" deed)
                        (say "cancelled" id (:status (errand/cancel! engine id))))
                      id))
                  deeds))
        batch (:batch-id (errand/submit-batch engine {:job-type "t"
                                                      :jobs (mapv #(job name (str "batch-" %) "plain") (range 3))}))]
    (say "batch" batch 3)
    (doseq [id ids]
      (say "ended" id (:status (errand/await-job engine id {:timeout "10m"}))))
    (say "batch-ended" batch (:status (errand/await-batch engine batch {:timeout "10m"})))))

(defn -main [place name]
  (let [engine (errand/open place)]
    (worker/start! #'handle {:engine engine :job-type "t" :worker-id name :lease-duration "1s" :concurrency 2})
    (say "ready")
    (doseq [wave (range)]
      (try
        (submit-wave! engine (str name "-" wave))
        (catch clojure.lang.ExceptionInfo e
          (say "trouble" (ex-message e)))))))
