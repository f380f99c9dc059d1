(ns errand.worker
  "Workers inside the JVM: they claim jobs of one type, call your function with each, and report how it ended.

    (require '[errand.worker :as worker])
    (defn review [job]
      (worker/progress! {:message \"reading\"})
      {:summary \"2 findings\" :outputs {:findings 2}})
    (def w (worker/start! #'review {:job-type \"agent-review\" :concurrency 4}))
    (worker/stop! w)

  What the handler gives back decides how the job ends:

    nil            succeeded
    a map          the result, with any of :status (\"succeeded\" \"no_changes\" \"cancelled\"), :summary, :outputs,
                   :metrics, :artifacts; or a failure, with :status \"failed\" or \"timed_out\" and any of :message, :code,
                   :details, :retryable, :artifacts. With another key, or a value that the engine refuses, the job
                   fails with the code \"invalid_result\"
    anything else  the job fails with the code \"invalid_result\"
    a throw        the job fails with the exception's message, and System.Logger \"errand\" is told; :errand/code of its
                   ex-data is the failure's code (default \"handler_failed\"), the rest stands in the failure's :details

  A failure is final even where :max-attempts is not used up, unless the result has :retryable true or ex-data has
  :errand/retryable true; :errand/retry-after in ex-data, a duration, says when. Attempts are for workers that are lost.

  Leases are renewed while the handler runs. When its job is cancelled, or the lease is lost nevertheless, the
  handler's thread is interrupted. After a cancel, a throw or nil ends the job as \"cancelled\", a map is still taken as
  the result. After a lost lease nothing is reported: the job belongs to another worker. What a handler does outside
  happens at least once, not exactly once.

  A handler given as a var sees redefinitions from the next job on. Handlers run on daemon threads, with
  errand.core/*engine* and `*job*` bound and with the bindings that `start!` was called under. A JVM that ends gives
  the jobs that it works on back. Workers of other languages run under `errand jobs worker run`."
  (:require [clojure.string :as str]
            [errand.core :as core]
            [errand.impl.native :as native]
            [errand.impl.run :as run])
  (:import [clojure.lang MultiFn]
           [errand.impl Engine]
           [java.io Closeable]
           [java.time Duration]
           [java.util UUID]
           [java.util.concurrent CompletableFuture]
           [java.util.function BiConsumer]))

(set! *warn-on-reflection* true)

(def ^:dynamic *job*
  "The job that the current handler works on; nil outside of handlers."
  nil)

(def ^:private ^:dynamic *run* nil)

;; Options

(def ^:private known-options
  #{:job-type :concurrency :labels :worker-id :lease-duration :poll-interval :batch-id :engine})

(defn- duration-ms
  "Milliseconds of a duration; nil where it is none."
  [duration]
  (cond
    (instance? Duration duration) (try (.toMillis ^Duration duration)
                                       (catch ArithmeticException _ nil))
    (integer? duration) duration
    (string? duration) (when-let [[_ digits unit] (re-matches #"(\d{1,15})(ms|s|m|h|d)" duration)]
                         (* (parse-long digits)
                            (long (case unit "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000))))))

(defn- duration-option [options key default]
  (let [given (get options key default)
        ms (duration-ms given)]
    (if (and ms (pos? ms))
      ms
      (throw (native/invalid (str key " is " (native/shown given) "; allowed: a duration such as \"250ms\", \"10s\", \"5m\", \"1h\","
                                  " \"1d\", whole milliseconds, or java.time.Duration")
                             [key])))))

(defn- meant
  "The option that a key was likely meant to be: it ends with it, or has its letters but for one or two."
  [key allowed]
  (when (keyword? key)
    (let [letters #(str/lower-case (str/replace (name %) #"[^A-Za-z]" ""))
          given (letters key)
          apart (fn [option]
                  (reduce + (map abs (vals (merge-with + (frequencies (letters option))
                                                       (update-vals (frequencies given) -))))))]
      (or (first (filter #(and (seq given) (str/ends-with? (letters %) given)) (sort allowed)))
          (first (filter #(<= (long (apart %)) 2) (sort-by apart allowed)))))))

(defn- check-options! [handler options allowed]
  (when-not (or (fn? handler) (var? handler) (instance? MultiFn handler))
    (throw (native/invalid (str "handler is " (native/shown handler) "; allowed: a function or a var"))))
  (when-not (map? options)
    (throw (native/invalid (str "options are " (native/shown options) "; allowed: a map"))))
  (doseq [key (keys options)]
    (when-not (or (allowed key) (and (keyword? key) (namespace key)))
      (let [hint (when-let [known (meant key allowed)]
                   (str "; did you mean " known "?"))]
        (throw (native/invalid (str (pr-str key) " is unknown" hint " (allowed: " (str/join ", " (sort allowed)) ")")
                               [key])))))
  (let [concurrency (:concurrency options 1)]
    (when-not (and (integer? concurrency) (<= 1 concurrency 10000))
      (throw (native/invalid (str ":concurrency is " (native/shown concurrency) "; allowed: whole numbers from 1 to 10000")
                             [:concurrency]))))
  (when (some? (:engine options))
    (native/engine! (:engine options))))

(defn- default-id []
  (let [host (or (System/getenv "HOSTNAME")
                 (try (.getHostName (java.net.InetAddress/getLocalHost))
                      (catch java.io.IOException _ nil))
                 "localhost")]
    (str (subs host 0 (min 100 (count host))) "-" (.pid (java.lang.ProcessHandle/current)))))

(declare stop!)

(defrecord ^:private Worker [worker-id]
  Closeable
  (close [worker]
    (stop! worker)
    nil))

(defn- new-worker [handler options]
  (let [{:keys [job-type concurrency labels worker-id batch-id engine]} options
        lease-ms (duration-option options :lease-duration "2m")
        id (or worker-id (default-id))]
    (with-meta
      (map->Worker
       {:engine (or engine (core/current))
        :handler handler
        :worker-id id
        :job-type job-type
        :concurrency (or concurrency 1)
        :lease-ms lease-ms
        :poll-ms (min (long (duration-option options :poll-interval "30s")) 30000)
        :claim (cond-> {:worker-id id :lease-duration lease-ms}
                 (contains? options :job-type) (assoc :job-type job-type)
                 batch-id (assoc :batch-id batch-id)
                 labels (assoc :worker-labels labels))
        :bindings (get-thread-bindings)
        :stopped (promise)
        ;; :phase is :running, :stopping or :stopped. :busy counts slots: threads that handle a job or claim the next.
        ;; :waiting is the request id of the one claim that waits for a job, and :future what ends that wait.
        :state (atom {:phase :running :busy 0 :runs #{} :waiting nil :future nil :handled 0 :failed 0})})
      {:type ::worker})))

(defmethod print-method ::worker [worker ^java.io.Writer out]
  (let [{:keys [phase runs]} @(:state worker)]
    (.write out (str "#<errand worker " (:worker-id worker) " for " (:job-type worker) ", " (name phase) ", "
                     (count runs) " of " (:concurrency worker) " busy>"))))

;; The workers of this JVM, for its end

(defonce ^:private workers (atom #{}))

(defonce ^:private shutdown-hook
  (delay (.addShutdownHook (Runtime/getRuntime)
                           (Thread. ^Runnable (fn []
                                                (doseq [worker @workers]
                                                  (stop! worker {:grace 0})))
                                    "errand-release"))))

(defn- enlist! [worker]
  @shutdown-hook
  (swap! workers conj worker)
  (.beforeClose ^Engine (:engine worker) (:stopped worker) (fn [] (stop! worker {:grace 0}))))

(defn- delist! [worker]
  (swap! workers disj worker)
  (.beforeClose ^Engine (:engine worker) (:stopped worker) nil))

;; Handling one job

(defn- running? [worker]
  (= :running (:phase @(:state worker))))

(defn- handle!
  "Handles a claimed job on this thread, and gives how it ended."
  [{:keys [engine handler state bindings lease-ms]} job]
  (let [run (run/new-run engine job lease-ms)]
    (swap! state update :runs conj run)
    (try
      (let [end (run/handle! run (fn [job]
                                   (with-bindings (assoc bindings #'core/*engine* engine #'*job* job #'*run* run)
                                     (handler job))))]
        (swap! state (fn [s]
                       (cond-> (update s :handled inc)
                         (= :failed end) (update :failed inc))))
        end)
      (finally
        (swap! state update :runs disj run)))))

(defn- claim-now! [{:keys [engine claim]}]
  (:job (native/call engine "jobs.claim" (assoc claim :request-id (str (UUID/randomUUID))))))

;; Claiming
;;
;; At most one claim of a worker waits for a job, whatever its concurrency, and no thread waits with it. What it
;; gets takes a slot; a slot that has handled its job claims the next one at once, and is given up when nothing is due.

(declare wait-for-job!)

(defn- give-back!
  "Releases a job that was claimed while the worker stopped."
  [{:keys [engine lease-ms]} job]
  (run/release! (run/new-run engine job lease-ms) "worker stopped"))

(defn- slot!
  "Handles a job, and those that are due after it."
  [{:keys [state] :as worker} job]
  (try
    (loop [job job]
      (handle! worker job)
      (when (running? worker)
        (when-let [job (try (claim-now! worker)
                            (catch clojure.lang.ExceptionInfo e
                              (run/log :debug "claim failed, it is tried again" e)))]
          (if (running? worker)
            (recur job)
            (give-back! worker job)))))
    (finally
      (swap! state update :busy dec)
      (wait-for-job! worker))))

(defn- take-slot!
  "Begins to handle a claimed job, where the worker was not stopped meanwhile."
  [{:keys [state] :as worker} job]
  (let [[before _] (swap-vals! state (fn [s] (cond-> s (= :running (:phase s)) (update :busy inc))))]
    (if (= :running (:phase before))
      (.execute (run/executor) (fn [] (slot! worker job)))
      (give-back! worker job))))

(defn- reserve-wait
  "Marks the waiting claim as under way, where there is none and a slot is free."
  [{:keys [phase busy waiting] :as state} concurrency request-id]
  (if (and (= :running phase) (nil? waiting) (< busy concurrency))
    (assoc state :waiting request-id)
    state))

(defn- pause-ms
  "How long to wait before the next waiting claim: not at all, but after trouble or an answer that came too soon."
  [{:keys [poll-ms]} failure waited-ms]
  (cond
    failure (min 5000 (long poll-ms))
    (< (long waited-ms) (quot (min 1000 (long poll-ms)) 2)) (min 1000 (long poll-ms))
    :else 0))

(defn- claimed!
  "Heeds the end of the waiting claim."
  [{:keys [state claim] :as worker} job failure waited-ms]
  (let [next-wait! (fn []
                     (swap! state assoc :waiting nil :future nil)
                     (wait-for-job! worker))]
    (cond
      job
      (do (take-slot! worker job)
          (next-wait!))

      (= :closed (run/code failure))
      (stop! worker {:grace 0})

      (running? worker)
      (let [pause (pause-ms worker failure waited-ms)]
        (when failure
          (run/log :warning (str "claim of " (:job-type claim) " failed, it is tried again in " pause " ms") failure))
        (if (zero? (long pause))
          (next-wait!)
          (run/after pause next-wait!))))))

(defn- wait-for-job!
  "Lets the worker's one waiting claim be under way, where a slot is free."
  [{:keys [engine state claim concurrency poll-ms] :as worker}]
  (let [request-id (str (UUID/randomUUID))
        began (System/nanoTime)
        waited-ms (fn [] (quot (- (System/nanoTime) began) 1000000))]
    (when (= request-id (:waiting (swap! state reserve-wait concurrency request-id)))
      (try
        (let [job (native/call-async engine "jobs.claim" (assoc claim :request-id request-id :wait-ms poll-ms)
                                     (run/executor))]
          (swap! state (fn [s] (if (= request-id (:waiting s)) (assoc s :future job) s)))
          (.whenCompleteAsync ^CompletableFuture job
                              (reify BiConsumer
                                (accept [_ reply failure]
                                  (claimed! worker (:job reply) (run/cause failure) (waited-ms))))
                              (run/executor)))
        (catch Throwable t
          (claimed! worker nil t 0))))))

;; Stopping

(defn- stop-waiting!
  "Ends the waiting claim. A job that it got at the last moment is asked for again by its request id, and given back."
  [{:keys [engine claim state] :as worker}]
  (let [{:keys [waiting future]} @state]
    (when (and waiting (or (nil? future) (.cancel ^CompletableFuture future true)))
      (try
        (when-let [job (:job (native/call engine "jobs.claim" (assoc claim :request-id waiting)))]
          (give-back! worker job))
        (catch clojure.lang.ExceptionInfo e
          (run/log :debug "a claim could not be taken back" e))))))

(defn- idle?
  "Whether the handlers end within so many milliseconds."
  [{:keys [state]} ms]
  (let [idle (promise)
        key (Object.)
        none? (fn [s] (and (zero? (:busy s)) (empty? (:runs s))))]
    (add-watch state key (fn [_ _ _ s] (when (none? s) (deliver idle true))))
    (try
      (or (none? @state)
          (true? (deref idle ms false)))
      (finally
        (remove-watch state key)))))

(defn- drain!
  "Waits for the handlers, then interrupts them, then gives back the jobs of those that do not end."
  [{:keys [state stopped] :as worker} grace-ms]
  (try
    (when-not (idle? worker grace-ms)
      (doseq [run (:runs @state)]
        (run/interrupt! run :stopping))
      (when-not (idle? worker (if (zero? (long grace-ms)) 250 2000))
        (doseq [run (:runs @state)]
          (run/release! run "worker stopped"))))
    (finally
      (swap! state assoc :phase :stopped)
      (delist! worker)
      (deliver stopped true))))

(defn- summary [{:keys [worker-id job-type state]}]
  (let [{:keys [handled failed]} @state]
    {:worker-id worker-id :job-type job-type :handled-count handled :failed-count failed}))

(defn stop!
  "Stops a worker: no new claim, running handlers may end, the others are interrupted and their jobs given back.

    (stop! worker)
    (stop! worker {:grace \"30s\"})

    :grace   how long handlers may go on, as a duration or 0; default \"10s\"

  Gives {:worker-id :job-type :handled-count :failed-count} once the worker has stopped. Idempotent: a second call
  waits for the first. Called from one of the worker's own handlers it does not wait."
  ([worker] (stop! worker {}))
  ([{:keys [state stopped] :as worker} options]
   (when-not (= ::worker (type worker))
     (throw (native/invalid (str "worker is " (native/shown worker) "; allowed: what errand.worker/start! gives"))))
   (let [grace-ms (if (= 0 (:grace options)) 0 (duration-option options :grace "10s"))
         [before _] (swap-vals! state (fn [s] (cond-> s (= :running (:phase s)) (assoc :phase :stopping))))
         mine? (boolean (some #(identical? (Thread/currentThread) (:thread %)) (:runs before)))
         drain (fn []
                 (stop-waiting! worker)
                 (drain! worker grace-ms))]
     (cond
       (not= :running (:phase before)) (when-not mine? @stopped)
       mine? (.execute (run/executor) drain)
       :else (drain))
     (summary worker))))

;; Starting

(defn start!
  "Starts a worker that calls `handler` with each job that it claims, and gives it.

    (start! #'review {:job-type \"agent-review\" :concurrency 4 :labels {\"gpu\" \"yes\"}})

  `handler` is a function or a var; see the namespace for what its result means. Options:

    :job-type        required
    :concurrency     how many jobs at once, 1 to 10000; default 1
    :labels          facts about the worker, {\"name\" \"value\"}, recorded on its jobs
    :worker-id       default host name and process id
    :lease-duration  1s to 24h, default \"2m\": after so long without a heartbeat the job goes to another worker
    :poll-interval   how often to look for jobs besides being woken, at most \"30s\", which is the default
    :batch-id        only this batch's jobs
    :engine          default errand.core/*engine*, else the ambient engine

  Throws :invalid-argument for options that are wrong. An idle worker holds no thread. Stop it with `stop!`, or by
  `with-open`: it is java.io.Closeable. Closing its engine and the end of the JVM stop it too. Its threads do not keep
  the JVM alive."
  ^Closeable [handler options]
  (check-options! handler options known-options)
  (let [worker (new-worker handler options)
        ;; The first claim is made here, so that options that the engine refuses are the caller's exception.
        job (claim-now! worker)]
    (enlist! worker)
    (when job
      (take-slot! worker job))
    (wait-for-job! worker)
    worker))

(defn run-one!
  "Claims one due job, handles it on this thread, and gives the job as it is then; nil when nothing is due.

    (run-one! #'review {:job-type \"agent-review\"})

  Options as of `start!`, without :concurrency and :poll-interval. An exception of the handler fails the job and is
  not thrown. For the REPL and tests."
  [handler options]
  (check-options! handler options (disj known-options :concurrency :poll-interval))
  (let [worker (new-worker handler options)]
    (when-let [job (claim-now! worker)]
      (enlist! worker)
      (try
        (handle! worker job)
        (finally
          (delist! worker)
          (deliver (:stopped worker) true)))
      (core/job (:engine worker) (:job-id job)))))

;; For handlers

(defn- current-run []
  (or *run* (throw (native/error :refused "incorrect" "no job is being handled here; call this from a worker's handler"))))

(defn progress!
  "Reports progress of the job that the current handler works on.

    (progress! {:status \"running\" :message \"3 of 7 files\" :metrics {:files 3}})

    :status      \"started\" or \"running\"
    :message     for people, at most 8 KiB
    :details, :metrics   any value, at most 256 KiB each; what is given replaces what was
    :artifacts   maps with :kind and :label, or a lone one; they are added

  Also renews the lease. Gives nil. Throws :lease-lost when the job is no longer this worker's, :refused outside of a
  handler, :invalid-argument or :payload-too-large for what does not fit."
  [progress]
  (when-not (map? progress)
    (throw (native/invalid (str "progress is " (native/shown progress) "; allowed: a map"))))
  (run/report-progress! (current-run) progress))

(defn- attach! [command what]
  (when-not (map? what)
    (throw (native/invalid (str "what is to be attached is " (native/shown what) "; allowed: a map"))))
  (run/attach! (current-run) command what))

(defn attach-kv!
  "Stores a value under a key of the current handler's job and records it on the job at once.

    (attach-kv! {:label \"totals\" :value {:files 3}})

  Options and result are those of `errand.core/attach-kv!`. Throws :lease-lost when the job is no longer this worker's."
  [value]
  (attach! "jobs.attach_kv" value))

(defn attach-table!
  "Stores rows in a table of the current handler's job and records it on the job at once.

    (attach-table! {:label \"findings\" :rows [{:file \"a.rs\" :line 3}] :index-fields [:file]})

  Options and result are those of `errand.core/attach-table!`. Throws :lease-lost when the job is no longer this
  worker's."
  [rows]
  (attach! "jobs.attach_table" rows))

(defn cancelled?
  "Whether the current handler should stop: its job was cancelled, its lease was lost, or its worker stops.

  The handler's thread was interrupted then, too."
  []
  (let [run (current-run)]
    (boolean (some #(run/flag? run %) [:cancelled :lost :stopping]))))
