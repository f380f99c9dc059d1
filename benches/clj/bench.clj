(ns bench
  "The Clojure half of `make bench`: a phase for each line of EDN that is read, its figures as a line of EDN."
  (:require [clojure.edn :as edn]
            [errand.core :as errand]
            [errand.flow :as flow]
            [errand.impl.native :as native])
  (:import [errand.impl Codec Native]
           [java.nio.file Files LinkOption Path]
           [java.util Arrays]
           [java.util.concurrent CompletableFuture CountDownLatch]))

(set! *warn-on-reflection* true)

(def payload {:surface "flows-api" :files ["src/a.clj" "src/b.clj"] :depth 3})

(def ^:private engines (atom {}))

(defn engine [{:keys [db sync]}]
  (or (get @engines db)
      (get (swap! engines assoc db (errand/open db {:sync sync})) db)))

(defn- timed
  "Calls `f` from so many threads for so long: calls per second, and percentiles in microseconds."
  [callers ms f]
  (let [ready (CountDownLatch. 1)
        caller (fn []
                 (.await ready)
                 (let [until (+ (System/nanoTime) (* 1000000 (long ms)))
                       took (java.util.ArrayList.)]
                   (loop [begun (System/nanoTime)]
                     (when (< begun until)
                       (f)
                       (let [ended (System/nanoTime)]
                         (.add took (- ended begun))
                         (recur (System/nanoTime)))))
                   took))
        results (mapv (fn [_] (let [result (promise)]
                                (doto (Thread. ^Runnable #(deliver result (try (caller) (catch Throwable t t))))
                                  (.start))
                                result))
                      (range callers))
        begun (System/nanoTime)
        _ (.countDown ready)
        took (mapv deref results)
        elapsed (- (System/nanoTime) begun)
        _ (some #(when (instance? Throwable %) (throw %)) took)
        all (long-array (mapcat seq took))
        at (fn [part] (/ (aget all (long (* (double part) (dec (alength all))))) 1000.0))]
    (Arrays/sort all)
    {:per-second (/ (alength all) (/ elapsed 1e9)) :p50 (at 0.5) :p90 (at 0.9) :p99 (at 0.99)}))

(defmulti run :phase)

(defmethod run :submit [{:keys [callers ms job-type] :as task}]
  (binding [errand/*engine* (engine task)]
    (let [config {:op :submit :job-type job-type :payload payload}
          engine errand/*engine*]
      (timed callers ms #(binding [errand/*engine* engine] (flow/step :job "bench" config))))))

(defmethod run :batch [{:keys [jobs times job-type] :as task}]
  (let [engine (engine task)
        config {:op :submit-batch :job-type job-type :jobs (vec (repeat jobs {:payload payload}))}
        begun (System/nanoTime)]
    (binding [errand/*engine* engine]
      (dotimes [_ times] (flow/step :job "bench" config)))
    {:per-second (/ (* (long jobs) (long times)) (/ (- (System/nanoTime) begun) 1e9))}))

(defmethod run :drain [{:keys [workers jobs job-type] :as task}]
  (let [engine (engine task)
        _ (errand/submit-batch engine {:job-type job-type :jobs (vec (repeat jobs {:payload payload}))})
        begun (System/nanoTime)
        worker (fn [] (loop [done 0]
                        (if-let [job (errand/claim! engine {:job-type job-type :worker-id "bench"})]
                          (do (errand/complete! engine job {})
                              (recur (inc done)))
                          done)))
        done (reduce + (mapv deref (mapv (fn [_] (future (worker))) (range workers))))]
    (assert (= done jobs))
    {:per-second (/ done (/ (- (System/nanoTime) begun) 1e9))}))

;; The boundary alone

(defn- nanos
  "Median nanoseconds of one call of `f`, over rounds of many."
  [f]
  (let [calls 2000
        round (fn [] (let [begun (System/nanoTime)]
                       (dotimes [_ calls] (f))
                       (/ (- (System/nanoTime) begun) (double calls))))]
    (dotimes [_ 30] (round))
    (nth (sort (repeatedly 15 round)) 7)))

(defn- full-job
  "A job map with all that one has."
  [engine]
  (let [job-type (str "full-" (System/nanoTime))]
    (errand/submit engine {:job-type job-type :payload payload :metadata {:team "flows" :priority 2}
                           :root-workflow-id "wf-1" :parent-step-id "submit-review"})
    (let [job (errand/claim! engine {:job-type job-type :worker-id "host-1-4711" :worker-labels {"gpu" "no"}})]
      (errand/progress! engine job {:status "running" :message "half way" :details {:file "src/a.clj"} :metrics {:done 50}})
      (errand/complete! engine job {:summary "reviewed 12 files" :outputs {:findings 3 :files ["src/a.clj"]}
                                    :metrics {:seconds 12.5}})
      (errand/job engine (:job-id job)))))

(defmethod run :boundary [task]
  (let [job (full-job (engine task))
        job-text (pr-str job)
        submit {:op :submit :job-type "agent-review" :payload payload :metadata {:team "flows"} :max-attempts 3}
        limits {"payload" 1048576 "metadata" 65536}
        job-bytes (Codec/encode job {})
        none (byte-array 0)]
    (Native/probe job-bytes)
    {:out (nanos #(Codec/decode (Native/probe nil) 1))
     :out-text (nanos #(edn/read-string job-text))
     :in (nanos #(Native/probe (Codec/encode submit limits)))
     :in-text (nanos #(edn/read-string (pr-str submit)))
     :empty (nanos #(Native/probe none))}))

;; What one caller costs besides time

(defn- switches
  "How often this thread has given up its core by itself, as the kernel counts."
  ^long []
  ;; Not by slurp, which asks how much there is to read, and gets an error.
  (let [status (Path/of "/proc/thread-self/status" (make-array String 0))]
    (if (Files/exists status (make-array LinkOption 0))
      (parse-long (second (re-find #"(?m)^voluntary_ctxt_switches:\s+(\d+)" (Files/readString status))))
      0)))

(defn- allocated ^long []
  (.getThreadAllocatedBytes ^com.sun.management.ThreadMXBean (java.lang.management.ManagementFactory/getThreadMXBean)
                            (.getId (Thread/currentThread))))

(defmethod run :costs [task]
  (let [engine (engine task)
        calls 2000
        payload-of (fn [chars] {:text (apply str (repeat chars \x))})
        cost (fn [payload]
               (let [config {:op :submit :job-type "costs" :payload payload}
                     submit #(dotimes [_ calls] (flow/step :job "bench" config))]
                 (binding [errand/*engine* engine]
                   (submit)
                   (let [before (allocated)]
                     (submit)
                     (/ (- (allocated) before) (double calls))))))
        ;; One by one: a checkpoint, which some submission has to make, waits for the disk many times.
        slept (fn [payload]
                (let [config {:op :submit :job-type "costs" :payload payload}]
                  (binding [errand/*engine* engine]
                    (count (filter identity (repeatedly calls #(let [before (switches)]
                                                                 (flow/step :job "bench" config)
                                                                 (< before (switches)))))))))
        small (cost (payload-of 100))
        large (cost (payload-of 16100))]
    {:slept (* 100.0 (/ (slept (payload-of 100)) calls))
     :bytes small
     :bytes-a-byte (/ (- large small) 16000.0)}))

;; Awaits

(defn- heap []
  (dotimes [_ 3] (System/gc) (Thread/sleep 50))
  (let [runtime (Runtime/getRuntime)]
    (- (.totalMemory runtime) (.freeMemory runtime))))

(defmethod run :awaits [{:keys [awaits] :as task}]
  (let [engine (engine task)
        job-type (str "await-" (System/nanoTime))
        job (errand/submit engine {:job-type job-type})
        base (heap)
        plain (object-array (repeatedly awaits #(CompletableFuture.)))
        future-bytes (- (heap) base)
        _ (Arrays/fill plain nil)
        base (heap)
        woken (CountDownLatch. awaits)
        last-at (volatile! 0)
        waits (object-array awaits)
        inline (reify java.util.concurrent.Executor (execute [_ task] (.run ^Runnable task)))
        begun (System/nanoTime)]
    (dotimes [n awaits]
      (aset waits n (errand/await-async engine (:job-id job) {:timeout "10m" :executor inline})))
    (let [entered (- (System/nanoTime) begun)
          bytes (- (heap) base)]
      (dotimes [n awaits]
        (.thenRun ^CompletableFuture (aget waits n) #(.countDown woken)))
      (let [claimed (errand/claim! engine {:job-type job-type :worker-id "bench"})]
        (errand/complete! engine claimed {})
        (let [committed (System/nanoTime)]
          (.await woken)
          (vreset! last-at (System/nanoTime))
          {:bytes-each (/ (- bytes future-bytes) (double awaits))
           :enter-us (/ entered 1e3 awaits)
           :woken-us (/ (- (long @last-at) committed) 1e3)})))))

;; What an await takes beside the heap

(defn- resident
  "Bytes of this process that are in memory."
  ^long []
  (let [status (Files/readString (Path/of "/proc/self/status" (make-array String 0)))]
    (* 1024 (long (parse-long (second (re-find #"(?m)^VmRSS:\s+(\d+)" status)))))))

(defmethod run :resident [{:keys [awaits] :as task}]
  (let [engine (engine task)
        waits (object-array awaits)
        wait #(errand/await-async engine (str "wait-" %) {:timeout "10m"})
        ;; First of all the compiler's own memory. Few at once: what they give back is taken again.
        _ (dotimes [_ 40]
            (doseq [^CompletableFuture waiting (mapv wait (range 1 1001))]
              (.cancel waiting false)))
        before (resident)]
    (dotimes [n awaits]
      (aset waits n (wait (inc n))))
    {:bytes-each (/ (- (resident) before) (double awaits))}))

(let [out *out*]
  (loop []
    (when-let [line (read-line)]
      (let [reply (try (binding [*out* *err*] (run (edn/read-string line)))
                       (catch Throwable t
                         (.printStackTrace t)
                         {:error (str t)}))]
        (binding [*out* out]
          (prn reply)
          (flush)))
      (recur))))
(shutdown-agents)
