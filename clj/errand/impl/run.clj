(ns errand.impl.run
  "One claimed job in the hands of a handler: heartbeats, interrupts, and the report of how it ended. It does not
  claim, and does not know how many jobs run beside it.

  A run is a map: :engine, :job, :lease (job id and token), :lease-ms, :every-ms (between heartbeats), :thread, and
  mutable :flags, a set of :cancelled (its cancel was requested), :lost (the lease is gone, or was given back),
  :stopping (its worker stops) and :over (the handler has returned)."
  (:require [clojure.string :as str]
            [errand.impl.native :as native])
  (:import [java.lang System$Logger System$Logger$Level]
           [java.util.concurrent CompletableFuture CompletionException ExecutorService Executors Future
            ScheduledThreadPoolExecutor ThreadFactory TimeUnit]
           [java.util.concurrent.atomic AtomicBoolean AtomicInteger AtomicLong]
           [java.util.function BiConsumer]))

(set! *warn-on-reflection* true)

(def ^:private first-beat-ms
  "Handlers that are done sooner cost no progress report." 200)
(def ^:private beat-ms 5000)
(def ^:private message-chars
  "Characters of a failure's message that surely fit into its 8 KiB." 2000)

(defn log
  "Writes to System.Logger \"errand.worker\"."
  ([level message] (log level message nil))
  ([level message failure]
   (let [logger (System/getLogger "errand.worker")
         level (case level
                 :error System$Logger$Level/ERROR
                 :warning System$Logger$Level/WARNING
                 System$Logger$Level/DEBUG)]
     (.log ^System$Logger logger ^System$Logger$Level level ^String message ^Throwable failure))))

(defn- daemons ^ThreadFactory [prefix]
  (let [counter (AtomicInteger.)]
    (reify ThreadFactory
      (newThread [_ task]
        (doto (Thread. task (str prefix "-" (.incrementAndGet counter)))
          (.setDaemon true))))))

(defonce ^{:doc "Threads for handlers and short work; none while nothing is to do."} pool
  (delay (Executors/newCachedThreadPool (daemons "errand-worker"))))

(defonce ^{:doc "The one thread on which heartbeats and pauses are timed."} timer
  (delay (doto (ScheduledThreadPoolExecutor. 1 (daemons "errand-heartbeat"))
           (.setRemoveOnCancelPolicy true))))

(defn executor ^ExecutorService [] @pool)

(defn after
  "Calls `f` on a pool thread in so many milliseconds."
  [ms f]
  (.schedule ^ScheduledThreadPoolExecutor @timer
             ^Runnable (fn [] (.execute (executor) f))
             (long ms) TimeUnit/MILLISECONDS))

(defn cause
  "What a future failed with."
  [failure]
  (if (and (instance? CompletionException failure) (ex-cause failure))
    (ex-cause failure)
    failure))

(defn code [failure]
  (:errand/code (ex-data failure)))

;; Flags and interrupts

(defn flag? [run flag]
  (contains? @(:flags run) flag))

(defn interrupt!
  "Sets a flag, and interrupts the handler where it still runs. Never interrupts what comes after the handler."
  [{:keys [flags ^Thread thread lock]} flag]
  (locking lock
    (when-not (contains? @flags flag)
      (swap! flags conj flag)
      (when-not (contains? @flags :over)
        (.interrupt thread)))))

(defn- over!
  "Ends the time in which the handler's thread may be interrupted."
  [{:keys [flags lock]}]
  (locking lock
    (swap! flags conj :over)
    (Thread/interrupted)))

;; Heartbeats

(defn- renewed!
  "Notes a renewal that was asked for at `asked` (nanoseconds), and heeds what the reply tells."
  [run asked {:keys [directive]}]
  (.set ^AtomicLong (:renewed run) asked)
  (when (= "cancel" directive)
    (interrupt! run :cancelled)))

(defn- refused!
  "Heeds the refusal of a renewal: what only another worker can do now is lost, anything else is tried again."
  [run failure]
  (if (#{:lease-lost :not-found :refused :closed :forbidden :unauthenticated} (code failure))
    (interrupt! run :lost)
    (log :debug (str "heartbeat of job " (:job-id (:lease run)) " failed, it is tried again") failure)))

(defn- beat
  "Renews the lease without waiting. The handler is stopped while the lease still lives: when the next look could
  come too late."
  [{:keys [engine lease lease-ms every-ms ^AtomicLong renewed ^AtomicBoolean beating ^AtomicBoolean announced] :as run}]
  (try
    (let [asked (System/nanoTime)]
      (cond
        (< (* 1000000 (- (long lease-ms) (long every-ms))) (- asked (.get renewed)))
        (interrupt! run :lost)

        (.compareAndSet beating false true)
        (let [renewal (try
                        (if (.compareAndSet announced false true)
                          (native/call-async engine "jobs.progress" (assoc lease :status "started") (executor))
                          (native/call-async engine "jobs.heartbeat" (assoc lease :lease-duration lease-ms) (executor)))
                        (catch Throwable t
                          (.set beating false)
                          (throw t)))]
          (.whenComplete ^CompletableFuture renewal
                         (reify BiConsumer
                           (accept [_ reply failure]
                             (.set beating false)
                             (if failure
                               (refused! run (cause failure))
                               (renewed! run asked reply))))))))
    (catch Throwable t
      (refused! run t))))

(defn- schedule-beats ^Future [{:keys [every-ms] :as run}]
  (.scheduleAtFixedRate ^ScheduledThreadPoolExecutor @timer
                        ^Runnable (fn [] (beat run))
                        (min (long every-ms) (long first-beat-ms)) (long every-ms) TimeUnit/MILLISECONDS))

(defn- call!
  "Runs a command under the run's lease, for the handler."
  [{:keys [engine lease] :as run} command args]
  (try
    (native/call engine command (merge args lease))
    (catch clojure.lang.ExceptionInfo e
      (when (= :lease-lost (code e))
        (interrupt! run :lost))
      (throw e))))

(defn report-progress!
  "Reports progress for the handler; heeds the reply as a heartbeat's."
  [run progress]
  (let [asked (System/nanoTime)]
    (renewed! run asked (call! run "jobs.progress" progress))
    nil))

(defn attach!
  "Attaches a value or rows for the handler, by the command that does it, and gives the artifact."
  [run command what]
  (:artifact (call! run command what)))

;; The report

(defn- settle!
  "Runs a command that ends the run. It is tried again while the store is busy and the lease may live: the same
  command with the same token has the same answer."
  [{:keys [engine lease lease-ms ^AtomicLong renewed]} command args]
  (loop [pause 50]
    (let [outcome (try
                    (native/call engine command (merge args lease))
                    (catch clojure.lang.ExceptionInfo e
                      (if (and (= :unavailable (code e))
                               (< (- (System/nanoTime) (.get ^AtomicLong renewed)) (* 1000000 (long lease-ms))))
                        ::again
                        (throw e))))]
      (if (= ::again outcome)
        (do (Thread/sleep (long pause))
            (recur (min 2000 (* 2 pause))))
        outcome))))

(defn- bad-value? [failure]
  (#{:invalid-argument :payload-too-large} (code failure)))

(defn- short-text [text]
  (let [text (str text)]
    (subs text 0 (min (count text) (long message-chars)))))

(defn- printed
  "A text of a value that cannot be stored as it is."
  [value]
  (binding [*print-length* 20
            *print-level* 5]
    (short-text (try (pr-str value)
                     (catch Throwable _ (str (class value)))))))

(defn- fail!
  "Reports a failure; what the engine cannot store of it is shortened, then left out."
  [run {:keys [details] :as failure}]
  (let [attempts [failure
                  (cond-> (dissoc failure :retry-after-ms)
                    details (assoc :details {:printed (printed details)}))
                  (-> (select-keys failure [:code :retryable])
                      (assoc :message "handler failed; its message could not be stored"))
                  {:code "handler_failed" :message "handler failed; its message could not be stored"}]]
    (loop [[attempt & more] attempts]
      (let [outcome (try
                      (settle! run "jobs.fail" attempt)
                      (catch clojure.lang.ExceptionInfo e
                        (if (and more (bad-value? e))
                          ::again
                          (throw e))))]
        (if (= ::again outcome)
          (recur more)
          outcome)))))

(defn- named
  "An exception by class and message, without its data."
  [^Throwable thrown]
  (short-text (str (.getName (class thrown)) (when-let [message (ex-message thrown)]
                                               (str ": " message)))))

(defn- failure-of
  "How an exception of a handler is reported."
  [^Throwable thrown]
  (let [data (ex-data thrown)
        own (dissoc data :errand/code :errand/retryable :errand/retry-after)
        given (:errand/code data)
        where (first (.getStackTrace thrown))]
    (cond-> {:message (short-text (or (not-empty (ex-message thrown)) (.getName (class thrown))))
             :code (cond (keyword? given) (subs (str given) 1)
                         (string? given) given
                         :else "handler_failed")
             :details (cond-> {:exception (.getName (class thrown))}
                        where (assoc :at (str where))
                        (seq own) (assoc :data own)
                        (ex-cause thrown) (assoc :cause (named (ex-cause thrown))))
             :retryable (true? (:errand/retryable data))}
      (some? (:errand/retry-after data)) (assoc :retry-after-ms (:errand/retry-after data)))))

(def ^:private result-keys [:status :summary :outputs :metrics :artifacts])
(def ^:private failure-keys [:status :message :code :details :retryable :artifacts])

(def ^:private failures
  "The statuses of a result that is a failure, with what is reported where the result says no more."
  {"failed" {:code "handler_failed" :message "handler reported a failure"}
   "timed_out" {:code "timed_out" :message "handler reported that it ran out of time"}})

(defn- invalid-result [run message]
  (fail! run {:code "invalid_result" :message (short-text message)}))

(defn- complete!
  "Reports a result: a failure where its status is one. Gives :completed or :failed."
  [run result]
  (let [status (:status result)
        failure (failures (if (keyword? status) (name status) status))
        allowed (if failure failure-keys result-keys)]
    (if-let [unknown (seq (remove (set allowed) (keys result)))]
      (do (invalid-result run (str "result" (when failure (str " with :status " (printed status)))
                                   " has the unknown keys " (printed (vec unknown)) "; " (str/join " " allowed)
                                   " are allowed"))
          :failed)
      (try
        (if failure
          (settle! run "jobs.fail" (merge failure (into {} (filter (comp some? val)) (dissoc result :status))))
          (settle! run "jobs.complete" result))
        (if failure :failed :completed)
        (catch clojure.lang.ExceptionInfo e
          (if (bad-value? e)
            (do (invalid-result run (ex-message e))
                :failed)
            (throw e)))))))

(defn- without-data
  "What stands for an exception in the log: its ex-data may be huge, secret or without an end."
  ^Throwable [^Throwable thrown]
  (let [chain (take 20 (take-while some? (iterate ex-cause thrown)))
        stand-in (fn [cause ^Throwable t]
                   (let [text (named t)]
                     (doto ^Throwable (proxy [Throwable] [(short-text (ex-message t)) cause]
                                        (toString [] text))
                       (.setStackTrace (.getStackTrace t)))))]
    (if (some ex-data chain)
      (reduce stand-in nil (reverse chain))
      thrown)))

(defn- log-thrown [{:keys [lease]} ^Throwable thrown]
  (.log (System/getLogger "errand") System$Logger$Level/WARNING
        (str "handler of job " (:job-id lease) " failed: " (short-text (or (ex-message thrown) (named thrown))))
        (without-data thrown)))

(defn- interrupted? [thrown]
  (or (instance? InterruptedException thrown)
      (instance? java.nio.channels.ClosedByInterruptException thrown)
      (instance? java.io.InterruptedIOException thrown)))

(defn- report!
  "Reports how the handler ended: it returned or threw. Gives :completed, :failed, :released or :lost."
  [run {:keys [returned thrown]}]
  (cond
    (flag? run :lost)
    :lost

    (and (flag? run :cancelled) (or thrown (nil? returned)))
    (do (settle! run "jobs.complete" {:status "cancelled"})
        :completed)

    (and thrown (or (flag? run :stopping) (interrupted? thrown)))
    (do (settle! run "jobs.release" {:reason "worker stopped"})
        :released)

    thrown
    (do (log-thrown run thrown)
        (fail! run (failure-of thrown))
        :failed)

    (or (nil? returned) (map? returned))
    (complete! run (or returned {}))

    :else
    (do (invalid-result run (str "handler returned a " (.getName (class returned))
                                 "; nil or a map of " (str/join " " result-keys) " is allowed"))
        :failed)))

(defn new-run
  "The run of a claimed job on this thread."
  [engine job lease-ms]
  {:engine engine
   :job (dissoc job :lease-token)
   :lease (select-keys job [:job-id :lease-token])
   :lease-ms lease-ms
   :every-ms (min (quot (long lease-ms) 3) (long beat-ms))
   :thread (Thread/currentThread)
   :lock (Object.)
   :flags (atom #{})
   :renewed (AtomicLong. (System/nanoTime))
   :beating (AtomicBoolean.)
   :announced (AtomicBoolean.)})

(defn release!
  "Gives the job of a run back whose handler does not end; its report is then dropped."
  [{:keys [engine lease flags lock]} reason]
  (when (locking lock
          (when-not (or (contains? @flags :over) (contains? @flags :lost))
            (swap! flags conj :lost)))
    (try (native/call engine "jobs.release" (assoc lease :reason reason))
         (catch Throwable t
           (log :debug (str "job " (:job-id lease) " could not be released; its lease will run out") t)))))

(defn handle!
  "Calls `f` with the job while the lease is renewed, and reports how it ended. Gives :completed, :failed, :released
  or :lost."
  [{:keys [lease] :as run} f]
  (let [beats (schedule-beats run)
        outcome (try
                  (try {:returned (f (:job run))}
                       (catch Throwable t {:thrown t})
                       (finally (over! run)))
                  (catch Throwable t {:thrown t}))]
    (try
      (report! run outcome)
      (catch Throwable t
        (log (if (#{:lease-lost :closed} (code t)) :debug :error)
             (str "the end of job " (:job-id lease) " could not be reported; its lease will run out") t)
        :lost)
      (finally
        (.cancel beats false)))))
