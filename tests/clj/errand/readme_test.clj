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

(defn- start
  "Starts a command line of the README in a folder, with the program on the PATH."
  ^Process [^File folder command]
  (let [builder (ProcessBuilder. ^"[Ljava.lang.String;" (into-array String ["sh" "-c" (str "exec " command)]))]
    (.put (.environment builder) "PATH"
          (str (.getAbsolutePath (io/file "target/release")) File/pathSeparator (System/getenv "PATH")))
    (-> builder
        (.directory folder)
        (.redirectOutput ProcessBuilder$Redirect/DISCARD)
        (.redirectError ProcessBuilder$Redirect/DISCARD)
        (.start))))

(defmacro ^:private in-folder [name & body]
  `(let [~name (fixtures/folder)]
     (try ~@body (finally (fixtures/delete! ~name)))))

(deftest the-quick-start-runs
  (in-folder folder
    (doto (io/file folder "review.sh") (spit (block "sh" "#!/bin/sh")) (.setExecutable true))
    (spit (io/file folder "one.rs") "")
    (let [worker (start folder (str/trim (block "sh" "errand jobs worker run --db")))]
      (try
        (let [code (str/replace (block "clojure" "submit-review") "\"jobs.db\"" (pr-str (str (io/file folder "jobs.db"))))
              [job batch] (filter map? (evaluate code))]
          (is (= "succeeded" (:status job)))
          (is (= {:summary "reviewed 1 files" :outputs {:files 1} :metrics {:files 1}}
                 (select-keys (:result job) [:summary :outputs :metrics])))
          (is (= "completed" (:status batch)))
          (is (= [{:surface "flows-api"} {:surface "runtime"}] (map :payload (:jobs batch)))))
        (finally
          (.destroy worker)
          (.waitFor worker 60 TimeUnit/SECONDS))))))

(deftest the-worker-in-clojure-runs
  (in-folder folder
    (with-open [engine (errand/open (io/file folder "jobs.db"))]
      (with-redefs [errand/*engine* engine]
        (let [{:keys [job-id]} (errand/submit engine {:job-type "agent-review" :payload {:surface "flows-api"}})
              code (str/replace (block "clojure" "worker/start!") "\"jobs.db\"" (pr-str (str (io/file folder "jobs.db"))))
              stop (str/index-of code "(worker/stop! w)")
              ended (str "(errand.core/await-job \"" job-id "\" {:timeout \"1m\"})")]
          (evaluate (str (subs code 0 stop) ended (subs code stop)))
          (is (= {:surface "flows-api"} (get-in (errand/job engine job-id) [:result :outputs]))))))))
