(ns errand.core-test
  (:require [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :as fixtures :refer [code thrown with-engine within]])
  (:import [java.io File]
           [java.nio.file Files]
           [java.util.concurrent CompletableFuture ExecutionException Executors ThreadFactory]))

(set! *warn-on-reflection* true)

(deftest every-command-has-a-function-whose-first-line-is-the-commands
  (let [functions (into {} (for [v (vals (ns-publics 'errand.core))
                                 :let [command (:errand/command (meta v))]
                                 :when command]
                             [command v]))
        commands (into {} (map (juxt :name identity)) (:commands (errand/describe)))]
    (is (= (set (keys commands)) (set (keys functions))))
    (doseq [[name v] functions
            :let [{:keys [doc fields]} (commands name)
                  text (:doc (meta v))]]
      (testing name
        (when-not (#{"jobs.await" "jobs.batches.await"} name)
          (is (= doc (first (str/split-lines text)))))
        (doseq [{field :name required :required?} fields
                :when (not (or required (#{"timeout-ms"} field)))]
          (is (or (str/includes? text (str ":" field))
                  (re-find #"(?i)options as of|as in `|as of `" text))
              field))))))

(deftest every-public-var-has-a-docstring
  (doseq [ns '[errand.core errand.flow errand.worker]
          v (do (require ns) (vals (ns-publics ns)))]
    (is (not (str/blank? (:doc (meta v)))) (str v)))
  (is (every? #(:doc (meta (find-ns %))) '[errand.core errand.flow errand.worker])))

(deftest submit-takes-every-field-of-the-table
  (with-engine [_]
    (let [fields {:job-type "t" :payload [1] :metadata {:m 1} :max-attempts 5 :idempotency-key "k"
                  :root-workflow-id "w" :parent-step-id "p" :fanout-parent-step-id "f" :fanout-max-concurrency 2}
          job (errand/submit fields)]
      (is (= fields (select-keys job (keys fields))))
      (is (= fields (select-keys (errand/job (:job-id job)) (keys fields)))))
    (let [batch (errand/submit-batch {:job-type "t" :jobs [{} {}] :root-workflow-id "w" :parent-step-id "p"
                                      :fanout-parent-step-id "f" :fanout-max-concurrency 1})]
      (is (= 2 (count (:jobs batch))))
      (is (errand/claim! {:job-type "t" :worker-id "me" :batch-id (:batch-id batch)}))
      (is (nil? (errand/claim! {:job-type "t" :worker-id "me" :batch-id (:batch-id batch)}))))))

(deftest lists-come-newest-first-a-page-at-a-time
  (with-engine [engine]
    (let [ids (vec (for [n (range 5)] (:job-id (errand/submit {:job-type (if (even? n) "even" "odd")}))))
          page (errand/list-jobs engine {:limit 2})
          more (errand/list-jobs {:limit 10 :cursor (:next-cursor page)})]
      (is (= (rseq ids) (map :job-id (concat (:items page) (:items more)))))
      (is (not (contains? more :next-cursor)))
      (is (= 3 (count (:items (errand/list-jobs {:job-type "even" :status :queued})))))
      (is (= 5 (count (:items (errand/list-jobs engine)))))
      (is (= {} (:payload (first (:items (errand/list-jobs {:full? true}))))))
      (is (= :invalid-argument (code (thrown (errand/list-jobs {:limit 0}))))))
    (let [batch (errand/submit-batch {:job-type "t" :jobs [{}]})]
      (is (= [(:batch-id batch)] (map :batch-id (:items (errand/list-batches {:status "queued"}))))))))

(deftest stats-count-jobs-by-type-and-status
  (with-engine [_]
    (errand/submit {:job-type "a"})
    (errand/submit {:job-type "b"})
    (is (map? (errand/stats)))
    (is (not= (errand/stats) (errand/stats {:job-type "a"})))))

(deftest a-claimed-job-is-worked-on-by-hand
  (with-engine [engine]
    (let [{:keys [job-id]} (errand/submit {:job-type "t" :payload {:n 1}})
          job (errand/claim! {:job-type "t" :worker-id "me" :worker-labels {"gpu" "no"} :lease-duration "30s"})]
      (is (= [job-id "leased" 1 {"gpu" "no"}] [(:job-id job) (:status job) (:attempt job) (:worker-labels job)]))
      (is (string? (:lease-token job)))
      (is (not (contains? (errand/job job-id) :lease-token)))
      (is (= "ok" (:directive (errand/heartbeat! job))))
      (is (pos? (:lease-remaining-ms (errand/heartbeat! engine job {:lease-duration "1m"}))))
      (is (= "running" (:status (:job (errand/progress! job {:status "running" :message "half" :metrics {:n 1}
                                                             :details [1] :artifacts {:kind "file" :label "x"}})))))
      (is (= {:status "running" :message "half" :metrics {:n 1} :details [1]}
             (select-keys (:progress (errand/job job-id)) [:status :message :metrics :details])))
      (let [done (errand/complete! job {:summary "done" :outputs {:a [1 2]} :metrics {:m 1.5} :worker-info {:w 1}
                                        :artifacts [{:kind "file" :label "y"}]})]
        (is (= "succeeded" (:status done)))
        (is (= {:summary "done" :outputs {:a [1 2]} :metrics {:m 1.5} :worker-info {:w 1}}
               (select-keys (:result done) [:summary :outputs :metrics :worker-info])))
        (is (= 2 (count (:artifacts (:result done)))))
        (is (= (:status done) (:status (errand/complete! job {:summary "done" :outputs {:a [1 2]} :metrics {:m 1.5}
                                                              :worker-info {:w 1}
                                                              :artifacts [{:kind "file" :label "y"}]}))))
        (is (= :refused (code (thrown (errand/complete! job {:summary "other"})))))))))

(deftest a-worker-without-the-lease-may-do-nothing
  (with-engine [_]
    (errand/submit {:job-type "t"})
    (let [job (assoc (errand/claim! {:job-type "t" :worker-id "me"}) :lease-token "stale")]
      (doseq [f [errand/heartbeat! errand/progress! errand/complete! errand/fail! errand/release!]]
        (is (= :lease-lost (code (thrown (f job))))))
      (is (= :invalid-argument (code (thrown (errand/complete! "not a job"))))))))

(deftest failures-are-final-unless-retryable
  (with-engine [_]
    (let [claim #(errand/claim! {:job-type "t" :worker-id "me" :wait-ms "10s"})]
      (errand/submit {:job-type "t"})
      (let [failed (errand/fail! (claim) {:message "no" :code "nope" :details {:d 1}})]
        (is (= "failed" (:status failed)))
        (is (= {:message "no" :code "nope" :details {:d 1}} (:error failed)))
        (is (= "queued" (:status (errand/retry! (:job-id failed)))))
        (is (= "queued" (:status (errand/fail! (claim) {:retryable true :retry-after-ms 1})))
            "a retryable failure queues the job again")
        (is (= "queued" (:status (errand/release! (claim) {:reason "drain"}))))))))

(deftest jobs-and-batches-are-cancelled
  (with-engine [_]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
      (is (= "cancelled" (:status (errand/cancel! job-id {:reason "superseded"}))))
      (is (= :refused (code (thrown (errand/cancel! job-id)))))
      (is (= "queued" (:status (errand/retry! job-id)))))
    (let [job (errand/claim! {:job-type "t" :worker-id "me"})]
      (is (true? (:cancel-requested? (errand/cancel! (:job-id job)))))
      (is (= "cancel" (:directive (errand/heartbeat! job))))
      (is (= "cancelled" (:status (errand/complete! job {:status "cancelled"})))))
    (let [batch (errand/submit-batch {:job-type "t" :jobs [{} {}]})]
      (is (= "cancelled" (:status (errand/cancel-batch! (:batch-id batch) {:reason "no"}))))
      (is (= "cancelled" (:status (errand/batch (:batch-id batch)))))
      (is (= 2 (count (:jobs (errand/batch (:batch-id batch) {:include-jobs? true}))))))))

(deftest awaits-come-as-futures-on-the-callers-executor
  (with-engine [engine]
    (let [executor (Executors/newSingleThreadExecutor
                    (reify ThreadFactory (newThread [_ task] (Thread. task "callers-own"))))
          {:keys [job-id]} (errand/submit {:job-type "t"})
          thread (promise)
          job ^CompletableFuture (errand/await-async job-id {:executor executor :timeout "1m"})
          _ (.thenAccept job (reify java.util.function.Consumer
                               (accept [_ _] (deliver thread (.getName (Thread/currentThread))))))
          batch-id (:batch-id (errand/submit-batch {:job-type "b" :jobs [{}]}))
          batch (errand/await-batch-async engine batch-id {:include-jobs? true})]
      (errand/cancel! job-id)
      (errand/cancel-batch! batch-id)
      ;; First: who waits for a future may run what follows it.
      (is (= "callers-own" (within thread)))
      (is (= "cancelled" (:status (within job))))
      (is (= ["cancelled"] (map :status (:jobs (within batch)))))
      (.shutdown executor)
      (let [failure (thrown (within (errand/await-async "no-such-job")))]
        (is (instance? ExecutionException failure))
        (is (= :not-found (code (ex-cause failure)))))
      (is (= :invalid-argument (code (thrown (errand/await-async job-id {:executor 1})))))
      (is (= "cancelled" (:status (errand/await-job job-id)) (:status (errand/await-batch engine batch-id)))))))

(deftest an-engine-is-closed-once-and-for-all
  (fixtures/with-engine [engine]
    (let [{:keys [job-id]} (errand/submit engine {:job-type "t"})
          waiting (errand/await-async engine job-id)
          blocked (future (thrown (errand/await-job engine job-id)))]
      (errand/close engine)
      (errand/close engine)
      (is (= :closed (code (ex-cause (thrown (within waiting))))))
      (is (= :closed (code (within blocked))))
      (doseq [f [#(errand/submit engine {:job-type "t"}) #(errand/job engine job-id) #(errand/await-job engine job-id)
                 #(errand/list-jobs engine)]]
        (is (= :closed (code (thrown (f)))))))))

(deftest what-is-no-engine-is-refused
  (doseq [f [#(errand/submit 1 {:job-type "t"}) #(errand/close :x) #(errand/list-jobs {} {})]]
    (is (= :invalid-argument (code (thrown (f)))))))

(defn- ambient!
  "Calls `f` with the ambient engine on a new database."
  [f]
  (let [folder (fixtures/folder)
        before (System/getProperty "errand.db")]
    (try
      (System/setProperty "errand.db" (str (File. folder "ambient.db")))
      (f)
      (finally
        (errand/close)
        (if before
          (System/setProperty "errand.db" before)
          (System/clearProperty "errand.db"))
        (fixtures/delete! folder)))))

(deftest the-ambient-engine-is-opened-on-first-use-and-again-only-when-asked
  (binding [errand/*engine* nil]
    (ambient! (fn []
                (errand/open)
                (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
                  (is (= job-id (:job-id (errand/job job-id))))
                  (errand/close)
                  (errand/close)
                  (let [failure (thrown (errand/job job-id))]
                    (is (= :closed (code failure)))
                    (is (re-find #"errand.core/open" (ex-message failure))))
                  (errand/open)
                  (is (= job-id (:job-id (errand/job job-id)))))))))

(deftest workspaces-do-not-see-each-other
  (with-engine [engine]
    (with-open [other (errand/open (.place ^errand.impl.Engine engine) {:workspace "other" :sync :normal})]
      (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
        (is (= :not-found (code (thrown (errand/job other job-id)))))
        (is (= [] (:items (errand/list-jobs other))))))))

(deftest what-cannot-be-opened-says-why
  (let [folder (fixtures/folder)
        file (fn ^File [^String name] (File. folder name))]
    (try
      (spit (file "text.db") (apply str (repeat 1000 "this is no database ")))
      (is (= :invalid-argument (code (thrown (errand/open (file "text.db"))))))
      (is (= (apply str (repeat 1000 "this is no database ")) (slurp (file "text.db"))))
      (is (= :not-found (code (thrown (errand/open (file "missing/jobs.db"))))))
      (is (= :not-found (code (thrown (errand/open (file "jobs.db") {:create? false})))))
      (is (contains? #{:invalid-argument :unavailable} (code (thrown (errand/open folder)))))
      (.close (errand/open (file "read-only.db")))
      (.setWritable ^File (file "read-only.db") false)
      (when-not (Files/isWritable (.toPath ^File (file "read-only.db")))
        (is (= :unavailable (code (thrown (errand/open (file "read-only.db")))))))
      (doseq [options [{:snyc "full"} {:sync "sometimes"} {:workspace 1} {:fallback-poll "soon"} {:on-event 1} 7]]
        (is (= :invalid-argument (code (thrown (errand/open (file "jobs.db") options)))) (pr-str options)))
      (doseq [path [nil "" 7 "a\u0000b"]]
        (is (= :invalid-argument (code (thrown (errand/open path)))) (pr-str path)))
      (is (= #{"text.db" "read-only.db"}
             (set (remove #(re-find #"-(wal|shm|lock|wake)$" %) (seq (.list folder))))))
      (finally
        (fixtures/delete! folder)))))

(deftest an-unknown-option-of-open-is-told-before-what-it-holds
  (let [folder (fixtures/folder)
        message (fn [options] (ex-message (thrown (errand/open (str folder "/jobs.db") options))))]
    (try
      (is (re-find #"^:on-evnt is unknown; did you mean :on-event\?" (message {:on-evnt println})))
      (is (re-find #"^:api-kye is unknown" (message {:api-kye println})))
      (is (re-find #"^:workspace is a-function; allowed: text" (message {:workspace println})))
      (finally
        (fixtures/delete! folder)))))

(deftest a-wait-takes-its-bound-under-both-names-and-names-only-its-own-options
  (with-engine [_]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
      (doseq [options [{:timeout "20ms"} {:timeout-ms 20} {:timeout-ms "20ms"}]]
        (is (re-find #"^job \"[^\"]+\" of type t is still queued after 20ms: no worker has taken it; it stays queued \("
                     (ex-message (thrown (errand/await-job job-id options))))))
      (is (re-find #":timeout and :timeout-ms are both given"
                   (ex-message (thrown (errand/await-job job-id {:timeout 1 :timeout-ms 1})))))
      (let [message (ex-message (thrown (errand/await-job job-id {:tiemout "1s"})))]
        (is (re-find #"did you mean :timeout\?" message))
        (is (not (re-find #":op\b|:type\b" message)))))))

(deftest what-cannot-be-stored-and-what-is-unknown-is-said-plainly
  (with-engine [_]
    (is (re-find #"cannot be written as EDN" (ex-message (thrown (errand/submit {:job-type "t" :payload {:f inc}})))))
    (is (re-find #"did you mean :job-type\?" (ex-message (thrown (errand/submit {:type "t"})))))
    (let [unknown (thrown (errand/job "absent"))]
      (is (re-find #"^job \"absent\" is unknown in workspace \"default\" of /" (ex-message unknown)))
      (is (= [:job-id] (:errand/path (ex-data unknown)))))
    (is (= [:batch-id] (:errand/path (ex-data (thrown (errand/batch "absent"))))))))
