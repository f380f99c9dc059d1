(ns errand.flow
  "The step with which a flow has work done elsewhere and gets the result.

    (require '[errand.flow :as flow])
    (let [queued (flow/step :job :submit-review
                            {:op :submit :job-type \"agent-review\" :payload {:surface \"flows-api\"}})]
      (flow/step :job :await-review
                 {:op :await :job-id (:job-id queued) :timeout \"5m\"}))

  A worker does the work: `errand jobs worker run --type agent-review --handler ./review.sh` in another process on the
  same database, or errand.worker in this one. The engine is errand.core/*engine*, else the ambient engine; see
  errand.core for that, for waiting without a thread, and for lists and operations."
  (:require [errand.core :as core]
            [errand.impl.native :as native]))

(set! *warn-on-reflection* true)

(defn- job-type!
  "Refuses a step of another type than :job."
  [what type path hint]
  (when-not (= :job type)
    (throw (native/invalid (str what " is " (native/shown type) "; allowed: :job" hint) path))))

(defn step
  "Runs one step of a flow, and gives a job map or a batch map.

    (step :job step-id config)

  `type` is :job. `step-id` is a keyword, symbol or string; it is kept on what the step submits as :parent-step-id.
  `config` has :op (keyword or string) and:

    :submit        :job-type; :payload :metadata :max-attempts :idempotency-key
                   Creates one queued job and gives it.
    :submit-batch  :job-type, :jobs [{:payload :metadata :max-attempts} …]; :metadata :max-attempts :idempotency-key
                   Creates 1 to 10000 queued jobs, all or none, and gives the batch with its :jobs.
    :get           :job-id
                   Gives the latest state of a job.
    :get-batch     :batch-id; :include-jobs? :limit
                   Gives the latest state of a batch.
    :await         :job-id; :timeout :interval :backoff :max-attempts
                   Waits until the job is terminal, and gives it. At once where it already is.
    :await-batch   :batch-id; :timeout :interval :backoff :max-attempts :include-jobs? :limit
                   Waits until all jobs of the batch are terminal, and gives the batch.

  Required fields stand before the semicolon. :type, where given, must be :job; namespaced keys are yours and are
  ignored; any other key is an error.

    :job-type         1 to 128 of A-Z a-z 0-9 . _ : / -
    :payload          any EDN value, at most 1 MiB; {} when absent. Comes back to worker and reader as it was
    :metadata         any EDN value, at most 64 KiB
    :max-attempts     submit: 1 to 100 attempts, default 3, used up by lost leases and retryable failures
                      await: how many scheduled checks at most, the first read included
    :idempotency-key  the same key gives the same job or batch back instead of another one
    :include-jobs?    whether the batch has its :jobs; default false
    :limit            how many of them, 1 to 10000, default 100; :jobs-truncated? true says that there are more
    :timeout          how long to wait; default \"5m\" where :max-attempts is not given either
    :interval         delay between scheduled checks, default \"1s\"; the wait is also woken by the commit itself
    :backoff          :constant (default), or {:type :constant|:linear|:exponential :factor n :max \"2m\"}

  Durations are \"250ms\" \"10s\" \"5m\" \"1h\" \"1d\", whole milliseconds, or java.time.Duration.

  Job status: \"queued\" \"leased\" \"started\" \"running\", terminal \"succeeded\" \"no_changes\" \"failed\" \"cancelled\"
  \"timed_out\". Batch status: \"queued\" \"running\", terminal \"completed\" \"failed\" \"partially_failed\" \"cancelled\".
  A job that failed is a result like any other: look at :status, :result and :error.

  Throws ExceptionInfo whose :errand/code is :invalid-argument (nothing was written; :errand/path says where),
  :not-found for an unknown id, :refused for an idempotency key with another config, :await-timeout when the bound of
  the wait is reached (last state under :errand/job or :errand/batch; the job goes on), :payload-too-large, :closed,
  :unavailable where the store is busy or cannot be reached (:errand/retry? is true), :internal for a fault of ours; of
  a control plane also :unauthenticated and :forbidden. An interrupt ends a wait with InterruptedException and leaves the job alone."
  [type step-id config]
  (job-type! "step type" type nil nil)
  (when (and (map? config) (contains? config :type))
    (job-type! ":type" (:type config) [:type] "; the type of a job is its :job-type"))
  (native/step (core/current) step-id (if (map? config) (dissoc config :type) config)))
