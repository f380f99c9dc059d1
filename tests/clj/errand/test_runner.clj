(ns errand.test-runner
  "Runs the Clojure tests: every namespace under tests/clj whose name ends in -test, or those named on the
  command line. Ends with one line for programs, `clojure tests: N passed, N failed`, and status 1 when anything failed.
  It does not count assertions: a test passed when all of its assertions did."
  (:require [clojure.java.io :as io]
            [clojure.stacktrace :as stacktrace]
            [clojure.string :as str]
            [clojure.test :as test]))

(set! *warn-on-reflection* true)

(def ^:private root (io/file "tests" "clj"))

(defn- namespace-of [^java.io.File file]
  (-> (str (.relativize (.toPath (io/file root)) (.toPath file)))
      (str/replace #"\.cljc?$" "")
      (str/replace java.io.File/separator ".")
      (str/replace "_" "-")
      symbol))

(defn- test-namespaces []
  (->> (file-seq root)
       (filter #(re-find #"_test\.cljc?$" (.getName ^java.io.File %)))
       (map namespace-of)
       sort))

(def ^:private outcome
  "How many tests passed and failed; `:running` is true in a test, and `:bad` once it has failed."
  (atom nil))

(defn- event!
  "How the outcome `now` stands after an event of clojure.test. A failure outside of any test, as in a fixture, counts too."
  [now {:keys [type]}]
  (case type
    :begin-test-var (assoc now :running true :bad false :began (System/nanoTime))
    (:fail :error) (if (:running now) (assoc now :bad true) (update now :failed inc))
    :end-test-var (-> now (assoc :running false) (update (if (:bad now) :failed :passed) inc))
    now))

(defn- report
  "Adds to what clojure.test prints: keeps the outcome, and names each test that failed or was slow."
  [print-report {:keys [type] :as event}]
  (let [{:keys [bad began]} (swap! outcome event! event)]
    (when-not (= :summary type)
      (print-report event))
    (when (= :end-test-var type)
      (let [seconds (/ (- (System/nanoTime) (long began)) 1e9)]
        (when (or bad (< 5 seconds))
          (test/with-test-out
            (println (format "%s %s (%.1f s)" (if bad "FAILED" "slow:") (symbol (:var event)) seconds))))))))

(defn- broken!
  "Counts something that is not one test, such as a namespace that cannot be loaded, as one failure."
  [what error]
  (swap! outcome update :failed inc)
  (println (str "\nFAILED " what))
  (stacktrace/print-cause-trace error 6)
  (println))

(defn- run-namespace! [name]
  (try
    (require name)
    (binding [test/report (partial report test/report)
              test/*stack-trace-depth* 20]
      (test/test-ns name))
    (catch Throwable error
      (broken! name error))))

(defn run-tests!
  "Runs the namespaces `names`, or all when there are none; returns `{:passed n :failed n}`."
  [names]
  (reset! outcome {:passed 0 :failed 0})
  (run! run-namespace! (or (seq names) (test-namespaces)))
  (select-keys @outcome [:passed :failed]))

(defn -main
  "Runs the namespaces named in `names`, or all of them, and ends the JVM."
  [& names]
  (let [{:keys [passed failed]} (run-tests! (map symbol names))]
    (println (format "clojure tests: %d passed, %d failed" passed failed))
    (flush)
    (shutdown-agents)
    (System/exit (if (zero? failed) 0 1))))
