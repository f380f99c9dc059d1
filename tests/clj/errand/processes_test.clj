(ns errand.processes-test
  "What holds between processes on one file: this JVM, other JVMs, and workers from the command line."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is]]
            [errand.core :as errand]
            [errand.fixtures :as fixtures :refer [await-true]]
            [errand.flow :as flow])
  (:import [java.io File]
           [java.lang ProcessBuilder$Redirect]
           [java.util.concurrent CompletableFuture TimeUnit]))

(set! *warn-on-reflection* true)

(def ^:private program (.getAbsolutePath (io/file "target/release/errand")))

(defn- start
  "Starts a process in `folder`; what it says goes to <name>.out and <name>.err there."
  ^Process [^File folder name & command]
  (-> (ProcessBuilder. ^java.util.List (vec command))
      (.directory folder)
      (.redirectOutput (ProcessBuilder$Redirect/to (io/file folder (str name ".out"))))
      (.redirectError (ProcessBuilder$Redirect/to (io/file folder (str name ".err"))))
      (.start)))

(defn- start-worker ^Process [folder n job-type handler & flags]
  (apply start folder (str "worker-" n)
         program "jobs" "worker" "run" "--db" "jobs.db" "--type" job-type "--handler" handler "--worker-id" (str "w" n)
         flags))

(defn- stop!
  "Asks a process to end and waits for it."
  [^Process process]
  (.destroy process)
  (.waitFor process 60 TimeUnit/SECONDS))

(defn- script! [^File folder name & lines]
  (doto (io/file folder name)
    (spit (str/join "\n" (cons "#!/bin/sh" lines)))
    (.setExecutable true)))

(defn- start-jvm
  "Starts a JVM that evaluates `form` with errand.core and errand.flow required."
  ^Process [folder name form]
  (start folder name
         (str (System/getProperty "java.home") "/bin/java")
         "-cp" (str/join File/pathSeparator
                         (map #(.getAbsolutePath (io/file ^String %))
                              (str/split (System/getProperty "java.class.path") #":")))
         "clojure.main" "-e"
         (pr-str (list 'do '(require '[errand.core :as errand] '[errand.flow :as flow]) form))))

(defmacro ^:private in-folder [name & body]
  `(let [~name (fixtures/folder)]
     (try ~@body (finally (fixtures/delete! ~name)))))

(deftest eight-workers-and-a-jvm-share-one-file
  (in-folder folder
    (with-open [engine (errand/open (io/file folder "jobs.db"))]
      (let [jobs (parse-long (or (System/getenv "ERRAND_TEST_JOBS") "800"))
            workers (mapv #(start-worker folder % "count" "/bin/true" "--concurrency" "2") (range 8))
            half (quot jobs 2)
            batch (errand/submit-batch engine {:job-type "count" :jobs (repeat half {:payload {:from "batch"}})})
            singles (mapv (fn [_] (:job-id (errand/submit engine {:job-type "count"}))) (range (- jobs half)))]
        (try
          (is (= "completed" (:status (errand/await-batch engine (:batch-id batch) {:timeout "10m"}))))
          (is (every? #(= "succeeded" (:status (errand/await-job engine % {:timeout "10m"}))) singles))
          (finally (run! stop! workers)))
        (let [said (map #(slurp (io/file folder (str "worker-" % ".err"))) (range 8))
              handled (map #(parse-long (second (re-find #"\"handledCount\":(\d+)"
                                                         (slurp (io/file folder (str "worker-" % ".out"))))))
                           (range 8))
              ended (concat (map :job-id (:jobs batch)) singles)]
          (is (= jobs (reduce + handled)) "each job is handled by one worker once")
          (is (= {[1 "succeeded" nil] jobs}
                 (frequencies (map #((juxt :attempt :status :error) (errand/job engine %)) ended))))
          (is (not-any? #(re-find #"(?i)locked|error|panic" %) said)))))))

(deftest an-await-is-woken-by-a-commit-of-another-process
  (in-folder folder
    (with-open [engine (errand/open (io/file folder "jobs.db") {:fallback-poll false})]
      (binding [errand/*engine* engine]
        (let [{:keys [job-id]} (flow/step :job :s {:op :submit :job-type "t"})
              waiting (errand/await-async engine job-id {:interval "1h" :timeout "10m"})
              worker (start-worker folder 0 "t" "/bin/true" "--once")]
          (is (= "succeeded" (:status (.get ^CompletableFuture waiting 60 TimeUnit/SECONDS))))
          (is (.waitFor worker 60 TimeUnit/SECONDS)))))))

(deftest both-examples-of-the-reference-run-against-a-worker
  (in-folder folder
    (script! folder "x.sh" "breyta jobs worker finish --summary reviewed --output surfaces=1")
    (with-open [engine (errand/open (io/file folder "jobs.db"))]
      (binding [errand/*engine* engine]
        (let [workers [(start-worker folder 0 "agent-review" "./x.sh")
                       (start-worker folder 1 "codex-security-review" "./x.sh")]
              job (let [queued-job (flow/step :job :submit-review
                                              {:op :submit
                                               :job-type "agent-review"
                                               :payload {:surface "flows-api"}})
                        final-job (flow/step :job :await-review
                                             {:op :await
                                              :job-id (:job-id queued-job)
                                              :timeout "5m"})]
                    final-job)
              batch (let [queued-batch (flow/step :job :submit-review-batch
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
          (run! stop! workers)
          (is (= {:status "succeeded" :parent-step-id "submit-review" :payload {:surface "flows-api"}}
                 (select-keys job [:status :parent-step-id :payload])))
          (is (= {:surfaces 1} (get-in job [:result :outputs])))
          (is (= "completed" (:status batch)))
          (is (= [{:surface "flows-api"} {:surface "runtime"}] (map :payload (:jobs batch)))))))))

(deftest a-new-jvm-awaits-what-a-killed-one-submitted
  (in-folder folder
    (script! folder "slow.sh" "while ! test -e go; do sleep 0.05; done")
    (let [db (io/file folder "jobs.db")
          first-jvm (start-jvm folder "jvm"
                               `(with-open [engine# (errand/open ~(str db))]
                                  (let [job# (errand/submit engine# {:job-type "t"})]
                                    (println (pr-str (:job-id job#)))
                                    (flush)
                                    (errand/await-job engine# (:job-id job#) {:timeout "1h"}))))
          said (io/file folder "jvm.out")
          worker (atom nil)]
      (try
        (is (await-true #(str/ends-with? (slurp said) "\n")))
        (reset! worker (start-worker folder 0 "t" "./slow.sh" "--once"))
        (let [job-id (edn/read-string (slurp said))]
          (with-open [engine (errand/open db)]
            (is (await-true #(= "started" (:status (errand/job engine job-id)))))
            (.waitFor (.destroyForcibly first-jvm))
            (let [waiting (errand/await-async engine job-id {:timeout "10m"})]
              (spit (io/file folder "go") "")
              (is (= "succeeded" (:status (.get ^CompletableFuture waiting 60 TimeUnit/SECONDS)))))))
        (finally
          (.destroyForcibly first-jvm)
          (some-> @worker stop!))))))
