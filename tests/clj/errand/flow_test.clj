(ns errand.flow-test
  (:require [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :refer [code thrown with-engine within]]
            [errand.flow :as flow]
            [errand.worker :as worker])
  (:import [java.time Duration]))

(set! *warn-on-reflection* true)

(deftest the-first-example-of-the-reference-runs
  (with-engine [_]
    (let [worker (worker/start! (fn [job] {:outputs (:payload job)}) {:job-type "agent-review"})
          final (let [queued-job (flow/step :job :submit-review
                                   {:op :submit
                                    :job-type "agent-review"
                                    :payload {:surface "flows-api"}})
                      final-job (flow/step :job :await-review
                                  {:op :await
                                   :job-id (:job-id queued-job)
                                   :timeout "5m"})]
                  final-job)]
      (worker/stop! worker)
      (is (= "succeeded" (:status final)))
      (is (= {:surface "flows-api"} (:payload final) (get-in final [:result :outputs])))
      (is (= "submit-review" (:parent-step-id final))))))

(deftest the-second-example-of-the-reference-runs
  (with-engine [_]
    (let [worker (worker/start! (fn [_]) {:job-type "codex-security-review" :concurrency 2})
          final (let [queued-batch (flow/step :job :submit-review-batch
                                     {:op :submit-batch
                                      :job-type "codex-security-review"
                                      :jobs [{:payload {:surface "flows-api"}}
                                             {:payload {:surface "runtime"}}]})
                      final-batch (flow/step :job :await-review-batch
                                    {:op :await-batch
                                     :batch-id (:batch-id queued-batch)
                                     :timeout "45m"
                                     :include-jobs? true})]
                  final-batch)]
      (worker/stop! worker)
      (is (= "completed" (:status final)))
      (is (= ["succeeded" "succeeded"] (map :status (:jobs final))))
      (is (= #{"flows-api" "runtime"} (set (map (comp :surface :payload) (:jobs final)))))
      (is (= 2 (:requested-count final) (get-in final [:counts :succeeded]))))))

(deftest submit-takes-every-field-of-the-reference
  (with-engine [_]
    (let [job (flow/step :job 'a.b/step
                         {:type :job :op "submit" :job-type "t" :payload nil :metadata {:by "me"} :max-attempts 7
                          :idempotency-key "k" ::mine (fn [])})]
      (is (= "queued" (:status job)))
      (is (contains? job :payload))
      (is (nil? (:payload job)))
      (is (= {:by "me"} (:metadata job)))
      (is (= 7 (:max-attempts job)))
      (is (= 0 (:attempt job)))
      (is (= "a.b/step" (:parent-step-id job)))
      (is (inst? (:created-at job)))
      (is (= job (flow/step :job :read {:op "get" :job-id (:job-id job)})))
      (is (instance? clojure.lang.APersistentMap job)))))

(deftest an-absent-payload-is-an-empty-map
  (with-engine [_]
    (is (= {} (:payload (flow/step :job :s {:op :submit :job-type "t"}))))))

(deftest the-same-idempotency-key-gives-the-same-submission-back
  (with-engine [_]
    (let [submit #(flow/step :job :s {:op :submit :job-type "t" :payload % :idempotency-key "once"})
          first-job (submit {:a 1})]
      (is (= (:job-id first-job) (:job-id (submit {:a 1}))))
      (is (= :refused (code (thrown (submit {:a 2})))))
      (is (= 1 (count (:items (errand/list-jobs))))))
    (let [submit #(flow/step :job :s {:op :submit-batch :job-type "t" :jobs [{:payload %}] :idempotency-key "batch"})]
      (is (= (:batch-id (submit 1)) (:batch-id (submit 1)))))))

(deftest get-batch-shows-its-jobs-when-asked
  (with-engine [_]
    (let [batch (flow/step :job :s {:op :submit-batch :job-type "t" :metadata {:m 1} :max-attempts 2
                                    :jobs [{:payload 1} {:payload 2 :metadata 3 :max-attempts 4} {}]})
          read #(flow/step :job :r (merge {:op :get-batch :batch-id (:batch-id batch)} %))]
      (is (= 3 (count (:jobs batch))))
      (is (= [2 4 2] (map :max-attempts (:jobs batch))))
      (is (= "queued" (:status batch)))
      (is (= {:m 1} (:metadata batch)))
      (is (not (contains? (read {}) :jobs)))
      (is (= 3 (count (:jobs (read {:include-jobs? true})))))
      (let [cut (read {:include-jobs? true :limit 2})]
        (is (= 2 (count (:jobs cut))))
        (is (true? (:jobs-truncated? cut)))))))

(deftest an-await-ends-at-each-of-its-bounds-and-leaves-the-job-alone
  (with-engine [_]
    (let [job (flow/step :job :s {:op :submit :job-type "t"})
          batch (flow/step :job :s {:op :submit-batch :job-type "t" :jobs [{}]})]
      (doseq [bound [{:timeout "20ms"} {:timeout 20} {:timeout (Duration/ofMillis 20)}
                     {:max-attempts 1} {:max-attempts 3 :interval 5}
                     {:max-attempts 3 :interval "5ms" :backoff :constant}
                     {:max-attempts 3 :interval "5ms" :backoff {:type :linear :factor 2}}
                     {:max-attempts 4 :interval (Duration/ofMillis 5)
                      :backoff {:type :exponential :factor 2 :max (Duration/ofMillis 9)}}]]
        (testing (pr-str bound)
          (let [failure (thrown (flow/step :job :w (merge {:op :await :job-id (:job-id job)} bound)))]
            (is (= :await-timeout (code failure)))
            (is (true? (:errand/retry? (ex-data failure))))
            (is (= "queued" (:status (:errand/job (ex-data failure))))))
          (let [failure (thrown (flow/step :job :w (merge {:op :await-batch :batch-id (:batch-id batch)} bound)))]
            (is (= :await-timeout (code failure)))
            (is (= "queued" (:status (:errand/batch (ex-data failure))))))))
      (is (= "queued" (:status (errand/job (:job-id job))))))))

(deftest an-await-is-woken-by-the-completion-and-not-by-its-checks
  (with-engine [_ {:sync "normal" :fallback-poll false}]
    (let [job (flow/step :job :s {:op :submit :job-type "t"})
          waiting (future (flow/step :job :w {:op :await :job-id (:job-id job) :interval "1h" :timeout "2h"}))]
      (worker/run-one! (fn [_] {:status :no_changes}) {:job-type "t"})
      (is (= "no_changes" (:status (within waiting)))))))

(deftest an-await-of-a-terminal-job-returns-at-once
  (with-engine [_]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
      (errand/cancel! job-id)
      (is (= "cancelled" (:status (flow/step :job :w {:op :await :job-id job-id :timeout "1ms"})))))))

(defrecord Point [x y])

(defn- nested [depth]
  (nth (iterate vector 0) depth))

(def ^:private bad-steps
  "Configs that are refused: the code, the path where there is one, and what the message says."
  [[{:op :sbumit :job-type "t"} :invalid-argument nil #"submit"]
   [{:job-type "t"} :invalid-argument nil #"op"]
   [{:op 7 :job-type "t"} :invalid-argument nil #"op"]
   [{:op :submit} :invalid-argument nil #":job-type"]
   [{:op :submit :job-type "t" :paylod 1} :invalid-argument [:paylod] #":payload"]
   [{:op :submit :job-type ""} :invalid-argument [:job-type] #"job-type"]
   [{:op :submit :job-type "two words"} :invalid-argument [:job-type] #"two words"]
   [{:op :submit :job-type 1} :invalid-argument [:job-type] #"job-type"]
   [{:op :submit :job-type "t" :type :http} :invalid-argument [:type] #"allowed: :job"]
   [{:op :submit :job-type "t" :payload {:f (fn [])}} :invalid-argument [:payload :f] #"function"]
   [{:op :submit :job-type "t" :payload [1 #"x"]} :invalid-argument [:payload 1] #""]
   [{:op :submit :job-type "t" :payload (range)} :payload-too-large [:payload] #"1"]
   [{:op :submit :job-type "t" :payload {:p (->Point 1 2)}} :invalid-argument [:payload :p] #"record"]
   [{:op :submit :job-type "t" :payload #{(atom 1)}} :invalid-argument nil #"(?i)atom"]
   [{:op :submit :job-type "t" :payload (nested 100000)} :invalid-argument nil #"100"]
   [{:op :submit :job-type "t" :payload {:a {"b" 1 :b 2}}} :invalid-argument nil #"b"]
   [{:op :submit :job-type "t" :payload ["ok" "\ud800"]} :invalid-argument [:payload 1] #"surrogate"]
   [{:op :submit :job-type "t" :payload (Duration/ofSeconds 1)} :invalid-argument [:payload] #""]
   [{:op :submit :job-type "t" :payload (apply str (repeat 1100000 \a))} :payload-too-large [:payload] #""]
   [{:op :submit :job-type "t" :metadata (apply str (repeat 70000 \a))} :payload-too-large [:metadata] #""]
   [{:op :submit :job-type "t" :max-attempts 0} :invalid-argument [:max-attempts] #"0.*1"]
   [{:op :submit :job-type "t" :max-attempts 101} :invalid-argument [:max-attempts] #"100"]
   [{:op :submit :job-type "t" :max-attempts "3"} :invalid-argument [:max-attempts] #"3"]
   [{:op :submit-batch :job-type "t"} :invalid-argument nil #":jobs"]
   [{:op :submit-batch :job-type "t" :jobs []} :invalid-argument [:jobs] #"1"]
   [{:op :submit-batch :job-type "t" :jobs (repeat 10001 {})} :invalid-argument [:jobs] #"10000"]
   [{:op :submit-batch :job-type "t" :jobs [{} {:paylod 1}]} :invalid-argument [:jobs 1 :paylod] #":payload"]
   [{:op :submit-batch :job-type "t" :jobs [{} {:payload inc}]} :invalid-argument [:jobs 1 :payload] #"function"]
   [{:op :get} :invalid-argument nil #":job-id"]
   [{:op :get :job-id nil} :invalid-argument [:job-id] #"job-id"]
   [{:op :get :job-id "no-such-job"} :not-found nil #"no-such-job"]
   [{:op :get-batch :batch-id "no-such-batch"} :not-found nil #"no-such-batch"]
   [{:op :get-batch :batch-id "b" :limit 0} :invalid-argument [:limit] #"0.*1"]
   [{:op :await :job-id "no-such-job"} :not-found nil #"no-such-job"]
   [{:op :await-batch :batch-id "no-such-batch"} :not-found nil #"no-such-batch"]
   [{:op :await :job-id "j" :timeout "5 minutes"} :invalid-argument [:timeout] #"5 minutes.*5m"]
   [{:op :await :job-id "j" :timeout -1} :invalid-argument [:timeout] #"-1"]
   [{:op :await :job-id "j" :interval 0} :invalid-argument [:interval] #"0"]
   [{:op :await :job-id "j" :interval (Duration/ofSeconds -1)} :invalid-argument [:interval] #"-1000"]
   [{:op :await :job-id "j" :timeout (Duration/ofSeconds Long/MAX_VALUE)} :invalid-argument [:timeout] #"milliseconds"]
   [{:op :await :job-id "j" :backoff :fibonacci} :invalid-argument nil #"exponential"]
   [{:op :await :job-id "j" :max-attempts 0} :invalid-argument [:max-attempts] #"0"]
   [nil :invalid-argument nil #"map"]
   [[:op :submit] :invalid-argument nil #"map"]])

(deftest bad-steps-are-refused-with-the-place-and-what-is-allowed-and-nothing-is-written
  (with-engine [_]
    (doseq [[config expected path message] bad-steps]
      (testing (binding [*print-length* 3 *print-level* 4] (pr-str config))
        (let [failure (thrown (flow/step :job :bad config))]
          (is (= expected (code failure)) failure)
          (is (false? (:errand/retry? (ex-data failure))))
          (is (= "cognitect.anomalies" (some-> failure ex-data :cognitect.anomalies/category namespace)))
          (is (re-find message (str (ex-message failure))))
          (when path
            (is (str/includes? (str (ex-message failure)) (pr-str (last path)))))
          (when path
            (is (= path (take (count path) (:errand/path (ex-data failure)))))))))
    (is (= [] (:items (errand/list-jobs))))
    (is (= [] (:items (errand/list-batches))))))

(deftest a-step-of-another-type-or-without-an-id-is-refused
  (with-engine [_]
    (let [config {:op :submit :job-type "t"}]
      (is (= :invalid-argument (code (thrown (flow/step :http :s config)))))
      (doseq [id [nil 7 "" "\udc00"]]
        (is (= :invalid-argument (code (thrown (flow/step :job id config)))) (pr-str id)))
      (is (= [] (:items (errand/list-jobs)))))))

(deftest the-docstring-names-every-op-and-every-key
  (let [doc (:doc (meta #'flow/step))]
    (doseq [{:keys [op required optional]} (:step-ops (errand/describe))]
      (testing op
        (let [[_ section] (re-find (re-pattern (str "(?s)\n    :" op "  +(.*?)\n    :")) doc)]
          (is (some? section))
          (doseq [key (concat required optional)]
            (is (str/includes? (str section) (str ":" key)) key)))))))
