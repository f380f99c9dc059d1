(ns errand.fixtures
  "Databases for tests, each in a folder of its own, and what tests ask of errors."
  (:require [clojure.string :as str]
            [errand.core :as errand])
  (:import [java.io File]
           [java.net URL URLClassLoader]
           [java.nio.file Files Path]
           [java.nio.file.attribute FileAttribute]
           [java.util.concurrent TimeUnit]))

(set! *warn-on-reflection* true)

(defn folder
  "A new temporary folder."
  ^File []
  (.toFile ^Path (Files/createTempDirectory "errand-test" (make-array FileAttribute 0))))

(defn delete!
  "Deletes a folder with all that is in it."
  [^File folder]
  (run! #(.delete ^File %) (reverse (file-seq folder))))

(defmacro with-engine
  "Runs the body with `name` an engine on a new database, which is also `errand/*engine*`."
  [[name options] & body]
  `(let [folder# (folder)]
     (try
       (with-open [engine# (errand/open (File. folder# "jobs.db") ~(or options {:sync "normal"}))]
         (binding [errand/*engine* engine#]
           (let [~name engine#]
             ~@body)))
       (finally
         (delete! folder#)))))

(defmacro thrown
  "The exception that the body throws; nil where it throws none."
  [& body]
  `(try ~@body nil (catch Throwable t# t#)))

(defn code [failure]
  (:errand/code (ex-data failure)))

(defn within
  "The value of a promise, future or CompletableFuture, or ::late after ten seconds."
  [reference]
  (if (instance? java.util.concurrent.CompletableFuture reference)
    (.get ^java.util.concurrent.CompletableFuture reference 10 TimeUnit/SECONDS)
    (deref reference 10000 ::late)))

(defn ended?
  "Whether a thread ends within ten seconds."
  [^Thread thread]
  (.join thread 10000)
  (not (.isAlive thread)))

(defn await-true
  "Whether `f` becomes true within ten seconds."
  [f]
  (let [deadline (+ (System/nanoTime) 10000000000)]
    (loop []
      (cond
        (f) true
        (< deadline (System/nanoTime)) false
        :else (do (java.util.concurrent.locks.LockSupport/parkNanos 5000000)
                  (recur))))))

;; Class loaders and processes

(defn- class-path []
  (for [entry (str/split (System/getProperty "java.class.path") (re-pattern File/pathSeparator))]
    (.toURL (.toURI (File. ^String entry)))))

(defn in-new-loader
  "Evaluates a text in a Clojure of its own, under a class loader that shares nothing with ours. Gives the printed result."
  [text]
  (let [result (promise)]
    (doto (Thread.
           (fn []
             (let [loader (URLClassLoader. (into-array URL (class-path)) (ClassLoader/getPlatformClassLoader))]
               (.setContextClassLoader (Thread/currentThread) loader)
               (try
                 (let [api (.loadClass loader "clojure.java.api.Clojure")
                       var-of (.getMethod api "var" (into-array Class [Object Object]))
                       call (fn [f & args]
                              (let [ifn (.loadClass loader "clojure.lang.IFn")
                                    types (into-array Class (repeat (count args) Object))]
                                (.invoke (.getMethod ifn "invoke" types) f (object-array args))))
                       core #(.invoke ^java.lang.reflect.Method var-of nil (object-array ["clojure.core" %]))]
                   (deliver result (call (core "pr-str") (call (core "load-string") text))))
                 (catch Throwable t
                   (deliver result (str t " " (ex-cause t))))))))
      (.start))
    (deref result 60000 "late")))

(defn clojure-process
  "A new JVM that evaluates a text; the first of the options may be a map of variables."
  ^Process [text & options]
  (let [java (str (System/getProperty "java.home") "/bin/java")
        variables (when (map? (first options)) (first options))
        builder (ProcessBuilder. ^java.util.List
                                 (concat [java "--enable-native-access=ALL-UNNAMED"] (if variables (rest options) options)
                                         ["-cp" (System/getProperty "java.class.path") "clojure.main" "-e" text]))]
    (.remove (.environment builder) "XDG_CACHE_HOME")
    (.putAll (.environment builder) (or variables {}))
    (.start (.redirectErrorStream builder true))))

(defn output
  "What a process prints, once it has ended."
  [^Process process]
  (let [text (slurp (.getInputStream process))]
    (.waitFor process)
    text))
