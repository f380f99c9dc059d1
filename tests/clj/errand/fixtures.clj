(ns errand.fixtures
  "Databases for tests, each in a folder of its own, and what tests ask of errors."
  (:require [errand.core :as errand])
  (:import [java.io File]
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
