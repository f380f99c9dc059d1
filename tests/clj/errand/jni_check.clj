(ns errand.jni-check
  "What is done to the boundary in a JVM that checks every JNI call (`-Xcheck:jni`) and has a small heap. `ERRAND_PANIC`
  names the entries that are to panic, each once in our own code and once outside of it, in a library for debugging;
  `jni-test` starts this and reads what it prints. It does not use clojure.test: what is wrong is thrown."
  (:require [clojure.string :as str]
            [errand.core :as errand]
            [errand.fixtures :as fixtures :refer [code ended? thrown within]]
            [errand.flow :as flow])
  (:import [errand.impl Codec Engine Native Pending]
           [java.io File]
           [java.util.concurrent CompletableFuture]
           [java.util.function Consumer]))

(set! *warn-on-reflection* true)

(def entries
  "The native functions; `events0` has nothing of ours but its wait."
  '[describe0 probe0 open0 call0 step0 forget0 close0 serve0 stop0 events0])

(defn panics
  "The value of ERRAND_PANIC."
  []
  (str/join "," (cons "heartbeat" (mapcat (fn [entry] [(str entry) (str entry " outside")]) entries))))

(defmacro check [form]
  `(when-not ~form
     (throw (AssertionError. (str "not so: " '~form)))))

(defn- bytes-of ^bytes [value] (Codec/encode value {}))

(defn- reply
  "What is answered: the data, or [:error code]."
  [^bytes bytes]
  (let [data (Codec/decode bytes 1)]
    (if (zero? (aget bytes 0)) data [:error (:code data)])))

(defn- late [^Pending pending] (reply (Native/await pending)))

(defn- third-time
  "What `f` gives once its entry has panicked outside of our code, which throws, and inside, which is an internal error."
  [f]
  (check (instance? RuntimeException (thrown (f))))
  (check (= [:error "internal"] (f)))
  (f))

(defn- panics-with-a-token
  "A heartbeat that panics with the lease token at hand, told without it; the token is printed backwards, for `jni-test`."
  [handle index]
  (let [{:keys [job-id lease-token]} (:job (late (Native/call handle (index "jobs.claim") (bytes-of {:job-type "t" :worker-id "w"}))))
        beat #(Native/call handle (index "jobs.heartbeat") (bytes-of {:job-id job-id :lease-token lease-token}))
        told (Codec/decode ^bytes (Native/await (beat)) 1)]
    (check (= "internal" (:code told)))
    (check (str/includes? (:message told) "panic at heartbeat"))
    (check (not (str/includes? (:message told) lease-token)))
    (check (= "ok" (:directive (late (beat)))))
    (println "token" (str/reverse lease-token))))

(defn- panics-at-every-entry [^File folder]
  (check (map? (third-time #(reply (Native/describe)))))
  (let [message (bytes-of {:a 1})
        kept #(do (Native/probe message) (reply (Native/probe nil)))]
    (check (instance? RuntimeException (thrown (Native/probe message))))
    (check (= [:error "internal"] (kept)))
    (check (= {:a 1} (kept))))
  (let [options (bytes-of {:path (str (File. folder "panics.db")) :sync "normal"})
        nobody (reify Consumer (accept [_ _]))
        handle (:handle (third-time #(late (Native/open options nobody))))
        index (fn [wanted] (first (keep-indexed (fn [i c] (when (= wanted (:name c)) i)) (:commands (reply (Native/describe))))))
        create (index "jobs.create")
        wait (index "jobs.await")
        job (:job (third-time #(late (Native/call handle create (bytes-of {:job-type "t"})))))
        get-job {:op "get" :job-id (:job-id job)}]
    (check (= "queued" (:status job)))
    (check (= (:job-id job) (:job-id (third-time #(late (Native/step handle (bytes-of "s") (bytes-of get-job)))))))
    (let [give-up #(.cancel ^Pending (Native/call handle wait (bytes-of {:job-id (:job-id job) :timeout-ms 60000})) true)]
      (check (instance? RuntimeException (thrown (give-up))))
      ;; Nobody is there to be told of the second.
      (check (give-up))
      (check (give-up)))
    (panics-with-a-token handle index)
    (let [server (:server (third-time #(late (Native/serve handle (bytes-of {:listen "127.0.0.1:0" :drain-time 0})))))]
      (check (int? server))
      (third-time #(late (Native/stop server))))
    (third-time #(reply (Native/close handle)))
    (check (= [:error "closed"] (late (Native/call handle create (bytes-of {:job-type "t"})))))))

(defn- use-after-close [^File folder]
  (let [engine (errand/open (File. folder "closed.db") {:sync "normal"})
        {:keys [job-id]} (errand/submit engine {:job-type "t"})]
    (errand/close engine)
    (errand/close engine)
    (check (= :closed (code (thrown (errand/job engine job-id)))))
    (check (= :closed (code (thrown (errand/submit engine {:job-type "t"})))))
    (check (= :closed (code (thrown (errand/await-job engine job-id)))))
    (let [handle (.handle ^Engine engine)]
      (check (= [:error "closed"] (late (Native/call handle 0 (bytes-of {:job-type "t"})))))
      (check (= nil (reply (Native/close handle)))))))

(defn- closing-while-awaiting [^File folder]
  (let [engine (errand/open (File. folder "awaited.db") {:sync "normal"})
        {:keys [job-id]} (errand/submit engine {:job-type "t"})
        futures (doall (repeatedly 50 #(errand/await-async engine job-id {:interval "1h" :timeout "1h"})))
        failures (atom [])
        threads (doall (repeatedly 50 #(doto (Thread. (fn [] (swap! failures conj (code (thrown (errand/await-job engine job-id))))))
                                         (.start))))]
    (errand/close engine)
    (check (every? ended? threads))
    (check (= {:closed 50} (frequencies @failures)))
    (check (= {:closed 50} (frequencies (map #(code (ex-cause (thrown (within ^CompletableFuture %)))) futures))))))

(defn- filled
  "Arrays that leave so many bytes of the heap."
  [^long left]
  (System/gc)
  (let [runtime (Runtime/getRuntime)
        free #(+ (- (.maxMemory runtime) (.totalMemory runtime)) (.freeMemory runtime))]
    (loop [arrays []]
      (if (< left (free))
        (recur (conj arrays (byte-array 400000)))
        arrays))))

(defn- replies-that-do-not-fit [^File folder]
  (with-open [engine (errand/open (File. folder "large.db") {:sync "normal"})]
    (let [large (apply str (repeat 1000000 \x))
          {:keys [batch-id]} (errand/submit-batch engine {:job-type "t" :jobs (repeat 50 {:payload large})})
          read-all #(thrown (errand/batch engine batch-id {:include-jobs? true :limit 1000}))
          arrays (atom (filled 30000000))]
      ;; It has to be told by the JVM that there is no memory, and by nobody else.
      (check (instance? OutOfMemoryError (read-all)))
      (reset! arrays nil)
      (check (= "queued" (:status (errand/submit engine {:job-type "t"}))))
      (check (= :payload-too-large (code (thrown (errand/submit engine {:job-type "t" :payload (repeat 300 large)})))))
      (check (= 51 (:total (errand/stats engine)))))))

(defn- two-hundred-threads [^File folder]
  (with-open [engine (errand/open (File. folder "threads.db") {:sync "normal"})]
    (let [wrong (atom [])
          life (fn []
                 (try
                   (dotimes [n 2]
                     (let [{:keys [job-id]} (errand/submit engine {:job-type "t" :payload {:n n :text (str n)}})
                           waiting (errand/await-async engine job-id {:interval "1h"})]
                       (check (= n (:n (:payload (errand/job engine job-id)))))
                       (errand/cancel! engine job-id)
                       (check (= "cancelled" (:status (within waiting))))
                       (check (= :refused (code (thrown (errand/cancel! engine job-id)))))))
                   (catch Throwable t (swap! wrong conj t))))
          threads (doall (repeatedly 200 #(doto (Thread. ^Runnable life) (.start))))]
      (run! #(.join ^Thread %) threads)
      (when-let [first-wrong (first @wrong)]
        (throw first-wrong)))))

(defn- loaders-and-reload [^File folder]
  (with-open [engine (errand/open (File. folder "reloaded.db") {:sync "normal"})]
    (binding [errand/*engine* engine]
      (let [{:keys [job-id]} (errand/submit {:job-type "t"})]
        (check (re-find #"in use by another class loader"
                        (fixtures/in-new-loader
                         "(require 'errand.core) (try (errand.core/describe) (catch Exception e (ex-message e)))")))
        (require 'errand.impl.native 'errand.impl.run 'errand.core 'errand.flow 'errand.worker :reload)
        (check (= job-id (:job-id (flow/step :job :g {:op :get :job-id job-id}))))))))

(def parts
  [["panics" panics-at-every-entry]
   ["closed" use-after-close]
   ["closing" closing-while-awaiting]
   ["threads" two-hundred-threads]
   ["loaders" loaders-and-reload]
   ["memory" replies-that-do-not-fit]])

(defn -main
  "Runs the parts that are named."
  [& names]
  (let [folder (fixtures/folder)]
    (try
      (doseq [[name part] parts
              :when (some #{name} names)]
        (let [begun (System/nanoTime)]
          (part folder)
          (println "passed" name (quot (- (System/nanoTime) begun) 1000000) "ms")))
      (finally
        (fixtures/delete! folder)))
    (shutdown-agents)
    (System/exit 0)))
