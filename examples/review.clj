(ns review
  "A flow that has source folders reviewed by external workers: first one folder as a job, then several as a batch.

  It submits and awaits; `review.sh`, run by `errand jobs worker run`, does the work. `make demo` runs both."
  (:require [clojure.pprint :refer [pprint]]
            [errand.flow :as flow]))

(def job-type "source-review")

(defn review-one
  "Has one folder reviewed and returns the final job."
  [folder]
  (let [queued (flow/step :job :submit-review
                 {:op :submit
                  :job-type job-type
                  :payload {:path folder}
                  :metadata {:asked-by "examples/review.clj"}})]
    (flow/step :job :await-review
      {:op :await
       :job-id (:job-id queued)
       :timeout "2m"})))

(defn review-all
  "Has every folder reviewed as one batch and returns the final batch with its jobs."
  [folders]
  (let [queued (flow/step :job :submit-reviews
                 {:op :submit-batch
                  :job-type job-type
                  :jobs (mapv (fn [folder] {:payload {:path folder}}) folders)})]
    (flow/step :job :await-reviews
      {:op :await-batch
       :batch-id (:batch-id queued)
       :timeout "5m"
       :include-jobs? true})))

(defn- show [title value]
  (println)
  (println title)
  (pprint value))

(defn- show-table [batch]
  (println)
  (println (format "%-16s %-11s %6s %7s  %s" "folder" "status" "files" "lines" "summary"))
  (doseq [{:keys [payload status result]} (:jobs batch)
          :let [{:keys [files lines]} (:metrics result)]]
    (println (format "%-16s %-11s %6s %7s  %s" (:path payload) status files lines (:summary result)))))

(defn -main
  "Reviews the first of `folders` as a job, then all of them as a batch.
  The exit status is 1 unless every review ended well."
  [& folders]
  (let [job (review-one (first folders))
        _ (show (str "One job: " (first folders)) job)
        batch (review-all folders)]
    (show (str "One batch: " (count folders) " folders") batch)
    (show-table batch)
    (flush)
    (System/exit (if (and (#{"succeeded" "no_changes"} (:status job))
                          (= "completed" (:status batch)))
                   0
                   1))))
