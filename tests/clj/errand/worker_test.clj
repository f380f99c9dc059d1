(ns errand.worker-test
  (:require [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :refer [await-true code thrown with-engine within]]
            [errand.worker :as worker])
  (:import [java.util.concurrent CountDownLatch CyclicBarrier TimeUnit]))

(set! *warn-on-reflection* true)

(defn- run-one
  "The job after a handler was run with it."
  [handler]
  (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
    (is (= job-id (:job-id (worker/run-one! handler {:job-type "t" :worker-id "me"}))))
    (errand/job job-id)))

(deftest a-handler-that-returns-decides-how-the-job-ends
  (with-engine [_]
    (testing "nil succeeds"
      (is (= "succeeded" (:status (run-one (fn [_]))))))
    (testing "a map is the result"
      (let [job (run-one (fn [_] {:status :no_changes :summary "s" :outputs [1 #{2}] :metrics {:n 1}
                                  :artifacts [{:kind "file" :label "f"}]}))]
        (is (= "no_changes" (:status job)))
        (is (= {:summary "s" :outputs [1 #{2}] :metrics {:n 1}}
               (select-keys (:result job) [:summary :outputs :metrics])))
        (is (= "f" (:label (first (:artifacts (:result job))))))))
    (testing "anything else fails"
      (doseq [result ["text" 7 [1] true {:sumary "s"} {:status "excellent"} {:outputs inc}
                      {:outputs (apply str (repeat 1100000 \a))} {:outputs (range)}]]
        (let [job (run-one (constantly result))]
          (is (= "failed" (:status job)))
          (is (= "invalid_result" (:code (:error job))))
          (is (string? (:message (:error job)))))))))

(deftest a-handler-that-throws-fails-the-job
  (with-engine [_]
    (let [error (:error (run-one (fn [_] (throw (ex-info "no repository" {:errand/code "no_repo" :repo "x"})))))]
      (is (= "no repository" (:message error)))
      (is (= "no_repo" (:code error)))
      (is (= {:repo "x"} (:data (:details error)))))
    (is (= "handler_failed" (:code (:error (run-one (fn [_] (/ 1 0)))))))
    (is (= "handler_failed" (:code (:error (run-one (fn [_] (assert false)))))))
    (testing "data that cannot be stored is shown as text"
      (let [job (run-one (fn [_] (throw (ex-info (apply str (repeat 100000 \x)) {:f inc :all (range)}
                                               (ex-info "why" {:all (range)})))))]
        (is (= "failed" (:status job)))
        (is (re-find #"xxx" (:message (:error job))))
        (is (string? (:printed (:details (:error job)))))))
    (testing "a message that cannot be stored is replaced"
      (is (= "failed" (:status (run-one (fn [_] (throw (ex-info "\ud800" {}))))))))
    (testing "retryable"
      (let [job (run-one (fn [_] (throw (ex-info "busy" {:errand/retryable true :errand/retry-after "1h"}))))]
        (is (= "queued" (:status job)))
        (is (nil? (worker/run-one! (fn [_]) {:job-type "t"})))))))

(deftest a-handler-sees-its-job-and-its-engine
  (with-engine [engine]
    (let [seen (promise)]
      (errand/submit {:job-type "t" :payload {:n 1}})
      (binding [errand/*engine* nil]
        (worker/run-one! (fn [job]
                           (deliver seen [job worker/*job* errand/*engine* (worker/cancelled?)])
                           nil)
                         {:job-type "t" :engine engine :labels {"a" "b"}}))
      (let [[job bound-job bound-engine cancelled?] (within seen)]
        (is (= {:n 1} (:payload job)))
        (is (= job bound-job))
        (is (= {"a" "b"} (:worker-labels job)))
        (is (not (contains? job :lease-token)))
        (is (identical? engine bound-engine))
        (is (false? cancelled?))))
    (is (= :refused (code (thrown (worker/progress! {})))))
    (is (= :refused (code (thrown (worker/cancelled?)))))))

(deftest progress-of-a-handler-is-seen-while-it-runs
  (with-engine [_]
    (let [job (run-one (fn [{:keys [job-id]}]
                         (worker/progress! {:status "running" :message "half" :details {:d 1}})
                         {:summary (:message (:progress (errand/job job-id)))}))]
      (is (= "half" (:summary (:result job)))))))

(deftest a-handler-attaches-values-and-rows-to-its-job
  (with-engine [_]
    (let [job (run-one (fn [_]
                         (worker/attach-kv! {:label "totals" :value {:files 3}})
                         {:outputs (:row-count (worker/attach-table! {:label "findings" :rows [{:line 1} {:line 2}]}))}))
          [totals findings] (:artifacts (:result job))]
      (is (= 2 (:outputs (:result job))))
      (is (= {:files 3} (errand/resource (:resource-uri totals))))
      (is (= [{:line 1} {:line 2}] (errand/resource (:resource-uri findings)))))
    (is (= "failed" (:status (run-one (fn [_] (worker/attach-kv! {:value 1}))))))
    (is (= :invalid-argument (code (thrown (worker/attach-kv! 1)))))
    (is (= :refused (code (thrown (worker/attach-table! {})))))))

(defn- first-handler [_] {:summary "first"})

(def ^:private redefinable first-handler)

(deftest a-var-sees-redefinitions
  (with-engine [_]
    (let [worker (worker/start! #'redefinable {:job-type "t"})
          run #(:summary (:result (errand/await-job (:job-id (errand/submit {:job-type "t"})))))]
      (try
        (is (= "first" (run)))
        (alter-var-root #'redefinable (constantly (fn [_] {:summary "second"})))
        (is (= "second" (run)))
        (finally
          (alter-var-root #'redefinable (constantly first-handler))
          (worker/stop! worker))))))

(deftest a-worker-handles-as-many-jobs-at-once-as-it-was-told
  (with-engine [_]
    (let [barrier (CyclicBarrier. 4)
          batch (errand/submit-batch {:job-type "t" :jobs (repeat 8 {})})
          worker (worker/start! (fn [_] (.await barrier 10 TimeUnit/SECONDS) nil) {:job-type "t" :concurrency 4})]
      (is (= "completed" (:status (errand/await-batch (:batch-id batch) {:timeout "20s"}))))
      (is (= {:handled-count 8 :failed-count 0}
             (select-keys (worker/stop! worker) [:handled-count :failed-count]))))))

(deftest a-worker-claims-only-its-batch
  (with-engine [_]
    (let [other (errand/submit {:job-type "t"})
          batch (errand/submit-batch {:job-type "t" :jobs [{} {}]})
          worker (worker/start! (fn [_]) {:job-type "t" :batch-id (:batch-id batch)})]
      (errand/await-batch (:batch-id batch))
      (worker/stop! worker)
      (is (= "queued" (:status (errand/job (:job-id other))))))))

(defn- blocking-handler
  "A handler that says when it runs and waits to be interrupted, and what it was interrupted by."
  [running ended]
  (fn [_]
    (deliver running true)
    (try
      (.await (CountDownLatch. 1))
      (catch InterruptedException e
        (deliver ended (worker/cancelled?))
        (throw e)))))

(deftest a-cancel-interrupts-the-handler
  (with-engine [_]
    (let [running (promise)
          ended (promise)
          worker (worker/start! (blocking-handler running ended) {:job-type "t" :lease-duration "2s"})
          {:keys [job-id]} (errand/submit {:job-type "t"})]
      (within running)
      (is (true? (:cancel-requested? (errand/cancel! job-id))))
      (is (true? (within ended)))
      (is (= "cancelled" (:status (errand/await-job job-id {:timeout "10s"}))))
      (worker/stop! worker))))

(deftest a-lost-lease-interrupts-the-handler-and-nothing-is-reported
  (with-engine [_]
    (let [running (promise)
          ended (promise)
          blocking (blocking-handler running ended)
          worker (worker/start! (fn [job]
                                  (errand/release! (:lease @#'worker/*run*))
                                  (blocking job))
                                {:job-type "t" :lease-duration "2s"})
          {:keys [job-id]} (errand/submit {:job-type "t"})]
      (within running)
      (let [job (errand/claim! {:job-type "t" :worker-id "other"})]
        (is (= job-id (:job-id job)))
        (is (true? (within ended)))
        (worker/stop! worker)
        (is (= "succeeded" (:status (errand/complete! job))))))))

(deftest the-lease-is-renewed-while-the-handler-runs
  (with-engine [_]
    (let [go-on (promise)
          worker (worker/start! (fn [_] (within go-on) nil) {:job-type "t" :lease-duration "2s"})
          {:keys [job-id]} (errand/submit {:job-type "t"})
          beats (fn [] (:last-heartbeat-at (errand/job job-id)))]
      (is (await-true #(= "started" (:status (errand/job job-id)))))
      (let [first-beat (beats)]
        (is (await-true #(not= first-beat (beats)))))
      (deliver go-on true)
      (is (= ["succeeded" 1] ((juxt :status :attempt) (errand/await-job job-id))))
      (worker/stop! worker))))

(deftest stop-waits-for-handlers-and-may-be-called-again
  (with-engine [_]
    (let [running (promise)
          go-on (promise)
          worker (worker/start! (fn [_] (deliver running true) (within go-on) {:summary "done"}) {:job-type "t"})
          {:keys [job-id]} (errand/submit {:job-type "t"})
          _ (within running)
          late (errand/submit {:job-type "t"})
          stops (doall (repeatedly 2 #(future (worker/stop! worker))))]
      (deliver go-on true)
      (is (= [{:handled-count 1 :failed-count 0} {:handled-count 1 :failed-count 0}]
             (map #(select-keys (within %) [:handled-count :failed-count]) stops)))
      (is (= "done" (:summary (:result (errand/job job-id)))))
      (is (= "queued" (:status (errand/job (:job-id late)))))
      (is (= 1 (:handled-count (worker/stop! worker)))))))

(deftest stop-interrupts-after-the-grace-and-gives-the-jobs-back
  (with-engine [_]
    (let [running (promise)
          ended (promise)
          worker (worker/start! (blocking-handler running ended) {:job-type "t"})
          {:keys [job-id]} (errand/submit {:job-type "t"})]
      (within running)
      (worker/stop! worker {:grace "10ms"})
      (is (true? (within ended)))
      (is (= "queued" (:status (errand/job job-id)))))))

(deftest a-handler-that-ignores-interrupts-loses-its-job
  (with-engine [_]
    (let [running (promise)
          go-on (CountDownLatch. 1)
          worker (worker/start! (fn [_]
                                  (deliver running true)
                                  (while (not (try (.await go-on 10 TimeUnit/SECONDS)
                                                   (catch InterruptedException _ false))))
                                  {:summary "too late"})
                                {:job-type "t"})
          {:keys [job-id]} (errand/submit {:job-type "t"})]
      (within running)
      (worker/stop! worker {:grace 0})
      (is (= "queued" (:status (errand/job job-id))))
      (.countDown go-on))))

(deftest a-handler-may-stop-its-own-worker
  (with-engine [_]
    (let [self (promise)
          worker (worker/start! (fn [_] (worker/stop! @self)) {:job-type "t"})]
      (deliver self worker)
      (errand/submit {:job-type "t"})
      (is (true? (within (:stopped worker)))))))

(deftest closing-the-engine-stops-its-workers-and-gives-their-jobs-back
  (with-engine [engine]
    (with-open [other (errand/open (.place ^errand.impl.Engine engine) {:sync "normal"})]
      (let [running (promise)
            ended (promise)
            worker (worker/start! (blocking-handler running ended) {:job-type "t" :engine other})
            {:keys [job-id]} (errand/submit {:job-type "t"})]
        (within running)
        (errand/close other)
        (is (true? (within ended)))
        (is (true? (within (:stopped worker))))
        (is (= "queued" (:status (errand/job job-id))))))))

(deftest an-idle-worker-holds-no-thread
  (with-engine [_]
    (let [names (fn [] (set (map #(.getName ^Thread %) (keys (Thread/getAllStackTraces)))))
          workers (doall (for [n (range 20)] (worker/start! (fn [_]) {:job-type (str "t" n) :concurrency 5})))]
      (is (await-true #(= 20 (count (filter (fn [w] (:future @(:state w))) workers)))))
      (let [before (names)]
        (is (> 20 (count (filter #(re-find #"^errand" %) before)))))
      (run! worker/stop! workers))))

(deftest wrong-options-are-the-callers-exception
  (with-engine [_]
    (doseq [[handler options] [[nil {:job-type "t"}] [:key {:job-type "t"}] [identity nil] [identity {}]
                               [identity {:job-type ""}] [identity {:job-type "t" :concurency 2}]
                               [identity {:job-type "t" :concurrency 0}] [identity {:job-type "t" :labels 7}]
                               [identity {:job-type "t" :lease-duration "1ms"}]
                               [identity {:job-type "t" :lease-duration "soon"}]
                               [identity {:job-type "t" :poll-interval 0}]
                               [identity {:job-type "t" :engine "x.db"}]]]
      (is (= :invalid-argument (code (thrown (worker/stop! (worker/start! handler options))))) (pr-str options)))))

(deftest a-handler-may-declare-a-failure-as-a-result
  (with-engine [_]
    (let [job (run-one (fn [_] {:status "failed" :message "no branch" :code "bad" :details {:line 3}}))]
      (is (= "failed" (:status job)))
      (is (= {:message "no branch" :code "bad" :details {:line 3}} (:error job))))
    (is (= {:code "timed_out" :message "handler reported that it ran out of time"}
           (:error (run-one (fn [_] {:status :timed_out})))))
    (testing "only with such a status, and only what a failure holds"
      (doseq [result [{:message "m"} {:status "succeeded" :code "c"} {:status "failed" :outputs 1}
                      {:status "failed" :retryable "perhaps"}]]
        (is (= "invalid_result" (:code (:error (run-one (constantly result))))) (pr-str result))))
    (testing "retryable"
      (is (= "queued" (:status (run-one (fn [_] {:status "failed" :message "busy" :retryable true}))))))))

(deftest an-exception-of-a-handler-is-logged
  (with-engine [_]
    (let [records (atom [])
          logger (java.util.logging.Logger/getLogger "errand")
          handler (proxy [java.util.logging.Handler] []
                    (publish [record] (swap! records conj record))
                    (flush [])
                    (close []))]
      (.addHandler logger handler)
      (try
        (let [job (run-one (fn [_] (throw (ex-info "no repository" {}))))
              ^java.util.logging.LogRecord record (first @records)]
          (is (= java.util.logging.Level/WARNING (.getLevel record)))
          (is (= (str "handler of job " (:job-id job) " failed: no repository") (.getMessage record)))
          (is (= "no repository" (ex-message (.getThrown record)))))
        (finally
          (.removeHandler logger handler))))))

(deftest a-worker-can-be-closed
  (with-engine [_]
    (let [stopped (with-open [worker (worker/start! (fn [_]) {:job-type "t"})]
                    (:stopped worker))]
      (is (true? (within stopped))))))

(deftest an-unknown-option-is-told-with-the-one-that-was-meant
  (with-engine [_]
    (doseq [[given meant] {:type :job-type, :jobtype :job-type, :concurency :concurrency, :label :labels}]
      (is (re-find (re-pattern (str "^" given " is unknown; did you mean " meant "\\?"))
                   (ex-message (thrown (worker/start! identity {given "t"}))))))
    (is (re-find #"^:colour is unknown \(allowed" (ex-message (thrown (worker/start! identity {:colour "t"})))))))
