(ns errand.costs-test
  "What a call of one caller costs in counts rather than in time: bytes of heap, and threads that have to run.
  The same is measured, as figures, by phase F of `make bench`."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is]]
            [errand.core :as errand]
            [errand.fixtures :refer [with-engine]]
            [errand.flow :as flow])
  (:import [com.sun.management ThreadMXBean]
           [java.io File IOException]
           [java.lang.management ManagementFactory]
           [java.nio.file Files]))

(set! *warn-on-reflection* true)

(defn- allocated ^long []
  (.getThreadAllocatedBytes ^ThreadMXBean (ManagementFactory/getThreadMXBean) (.getId (Thread/currentThread))))

(defn- submitter
  "A function that submits one job with so many characters of payload."
  [chars]
  (let [config {:op :submit :job-type "costs" :payload {:text (str/join (repeat chars \x))}}]
    #(flow/step :job :costs config)))

(defn- least
  "The least that `f` gives for a round of calls: what else happens in this JVM, such as compiling, only adds to a round."
  [rounds f]
  (reduce min (repeatedly rounds f)))

(defn- bytes-each
  "Bytes of heap that this thread allocates for one submission."
  [chars]
  (let [submit (submitter chars)]
    (least 12 #(let [before (allocated)]
                 (dotimes [_ 50] (submit))
                 (quot (- (allocated) before) 50)))))

(deftest the-heap-that-a-submission-takes-depends-on-its-payload-alone
  (with-engine [_]
    (dotimes [_ 10] (bytes-each 10))
    (let [empty-store (bytes-each 100)
          _ (dotimes [_ 20] (errand/submit-batch {:job-type "costs" :jobs (vec (repeat 200 {}))}))
          _ (dotimes [_ 50] (errand/claim! {:job-type "costs" :worker-id "w"}))
          open-batches (bytes-each 100)
          large (bytes-each 8100)]
      (is (< open-batches (+ 256 (* 1.1 empty-store))))
      (is (< large (+ empty-store (* 2.5 8000))) "the reply and the text in it, and no more"))))

(defn- read-file
  "The text of a file of /proc, which `slurp` cannot read; nil where it is gone."
  [^File file]
  (try (Files/readString (.toPath file)) (catch IOException _ nil)))

(defn- switches-of
  "How often a thread has given up its core by itself, as the kernel counts; nil where it is gone."
  [^File task]
  (some->> (read-file (io/file task "status"))
           (re-find #"(?m)^voluntary_ctxt_switches:\s+(\d+)")
           second
           parse-long))

(defn- writers
  "The writer threads of this process, with their switches."
  []
  (into {}
        (keep (fn [^File task]
                (when (= "errand-writer" (some-> (read-file (io/file task "comm")) str/trim))
                  [(.getName task) (switches-of task)])))
        (.listFiles (io/file "/proc/self/task"))))

(deftest one-caller-pays-no-thread-hop
  (when (.exists (io/file "/proc/thread-self/status"))
    (with-engine [_]
      (let [submit (submitter 100)
            round (fn []
                    (let [here (io/file "/proc/thread-self")
                          before (writers)
                          switched (long (switches-of here))]
                      (dotimes [_ 5] (submit))
                      (let [own (- (long (switches-of here)) switched)]
                        ;; A writer that came to be, or was woken, has other switches than before.
                        (if (= before (writers)) own (+ 1000 own)))))]
        (dotimes [_ 100] (submit))
        (is (zero? (long (least 60 round))) "five calls in a row: nobody else ran, and the caller never slept")))))
