(ns errand.readme-test
  "What the README shows is run as it stands there, but for the place of the database."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is]]
            [errand.core :as errand]
            [errand.fixtures :as fixtures])
  (:import [java.io File]
           [java.lang ProcessBuilder$Redirect]
           [java.util.concurrent TimeUnit]))

(set! *warn-on-reflection* true)

(defn- blocks
  "The code blocks of a language in the README."
  [language]
  (map second (re-seq (re-pattern (str "(?s)```" language "\\n(.*?)```")) (slurp "README.md"))))

(defn- block
  "The block that holds `text`."
  [language text]
  (first (filter #(str/includes? % text) (blocks language))))

(defn- evaluate
  "Evaluates the forms of a block in a namespace of their own; the values, in order."
  [code]
  (binding [*ns* (create-ns (gensym "readme"))]
    (refer-clojure)
    (let [reader (java.io.PushbackReader. (java.io.StringReader. code))]
      (doall (map eval (take-while #(not= ::end %) (repeatedly #(read reader false ::end))))))))

(defn- start-worker ^Process [^File folder job-type handler]
  (-> (ProcessBuilder. ^"[Ljava.lang.String;"
                       (into-array String [(.getAbsolutePath (io/file "target/release/errand")) "jobs" "worker" "run"
                                           "--db" "jobs.db"
                                           "--type" job-type "--handler" handler]))
      (.directory folder)
      (.redirectOutput ProcessBuilder$Redirect/DISCARD)
      (.redirectError ProcessBuilder$Redirect/DISCARD)
      (.start)))

(defmacro ^:private with-workers [[folder & workers] & body]
  `(let [~folder (fixtures/folder)
         workers# (mapv (fn [[type# handler#]] (start-worker ~folder type# handler#)) ~(vec workers))]
     (try ~@body
          (finally
            (doseq [^Process worker# workers#]
              (.destroy worker#)
              (.waitFor worker# 60 TimeUnit/SECONDS))
            (fixtures/delete! ~folder)))))

(deftest the-quick-start-runs
  (with-workers [folder ["agent-review" "/bin/true"] ["codex-security-review" "/bin/true"]]
    (let [code (str/replace (block "clojure" "submit-review") "\"jobs.db\"" (pr-str (str (io/file folder "jobs.db"))))
          values (evaluate code)]
      (is (= ["succeeded" "completed"] (keep :status (filter map? values))))
      (is (= [{:surface "flows-api"} {:surface "runtime"}]
             (map :payload (some :jobs (filter map? values))))))))

(deftest the-handler-script-is-a-whole-worker
  (let [script (block "sh" "#!/bin/sh")]
    (with-workers [folder]
      (doto (io/file folder "review.sh") (spit script) (.setExecutable true))
      (spit (io/file folder "one.rs") "")
      (with-open [engine (errand/open (io/file folder "jobs.db"))]
        (let [{:keys [job-id]} (errand/submit engine {:job-type "agent-review"})
              worker (start-worker folder "agent-review" "./review.sh")]
          (try
            (let [job (errand/await-job engine job-id {:timeout "1m"})]
              (is (= "succeeded" (:status job)))
              (is (= {:summary "reviewed 1 files" :outputs {:files 1} :metrics {:files 1}}
                     (select-keys (:result job) [:summary :outputs :metrics]))))
            (finally (.destroy worker) (.waitFor worker 60 TimeUnit/SECONDS))))))))

(deftest the-worker-in-clojure-runs
  (with-workers [folder]
    (with-open [engine (errand/open (io/file folder "jobs.db"))]
      (with-redefs [errand/*engine* engine]
        (let [{:keys [job-id]} (errand/submit engine {:job-type "agent-review" :payload {:surface "flows-api"}})
              code (block "clojure" "worker/start!")
              stop (str/index-of code "(worker/stop! w)")
              ended (str "(errand.core/await-job \"" job-id "\" {:timeout \"1m\"})")]
          (evaluate (str (subs code 0 stop) ended (subs code stop)))
          (is (= {:surface "flows-api"} (get-in (errand/job engine job-id) [:result :outputs]))))))))
