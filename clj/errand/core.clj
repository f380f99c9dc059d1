(ns errand.core
  "Errand's engine from Clojure: open a database, submit and read jobs and batches, wait for them, operate them, and
  write workers of your own. Flows use errand.flow/step; ready-made workers are in errand.worker.

    (require '[errand.core :as errand])
    (errand/submit {:job-type \"agent-review\" :payload {:surface \"flows-api\"}})
    (errand/list-jobs {:status \"queued\"})

  Engines. Every function takes an engine as its first argument, or none: then it uses `*engine*` where that is bound
  or set, else the ambient engine, which is opened on first use from the system property errand.db, the environment
  variables ERRAND_DB, ERRAND_API_URL or BREYTA_API_URL, or ./errand.db; its workspace is ERRAND_WORKSPACE
  or BREYTA_WORKSPACE. `open` opens one of your own, for `with-open`.
  Requiring this namespace opens nothing, starts no thread and loads no native code.

  An engine is a SQLite database in this process, or a control plane (`errand serve`) at an http address: the same
  functions, the same answers and errors.

  Values. Arguments are maps with keyword keys, the options map last; results are plain persistent maps with keyword
  keys; statuses are strings, instants are #inst, absent facts are absent keys. Payloads, metadata, outputs, metrics
  and details hold any value that clojure.edn can read, nested at most 100 deep, and come back equal. Namespaced keys
  of an arguments map are yours and are ignored.

  Durations are \"250ms\" \"10s\" \"5m\" \"1h\" \"1d\", whole milliseconds, or a java.time.Duration.

  Errors are ExceptionInfo. The message names the place, the value and what is allowed; ex-data has
    :errand/code                   :invalid-argument :not-found :refused :lease-lost :payload-too-large
                                   :await-timeout :closed :unavailable :internal, and from a control plane
                                   :unauthenticated :forbidden
    :errand/retry?                 whether the same call may succeed later
    :errand/path                   where in the arguments, outermost key first, where there is such a place
    :cognitect.anomalies/category  the same advice for programs that know anomalies
  and the facts of the case, such as :errand/job, :errand/batch or :errand/status. Nothing was written by a call that
  throws :invalid-argument.

  Threads. A call that waits may be interrupted: it throws InterruptedException and changes nothing about the job. All
  functions may be called from any thread, virtual ones too.

  One process must have only one SQLite library on a database file: do not open it with another one (a JDBC driver,
  say) in this JVM."
  (:require [clojure.edn :as edn]
            [clojure.string :as str]
            [errand.impl.native :as native])
  (:import [errand.impl Engine FileStream Server]
           [java.util.concurrent CompletableFuture Executor ForkJoinPool]))

(set! *warn-on-reflection* true)

;; Engines

(defonce ^{:dynamic true
           :doc "The engine that functions use when none is given; nil for the ambient one.

  Bind it with `binding`, or set it for all threads with `alter-var-root`."}
  *engine* nil)

(defonce ^:private ambient (atom nil))
(defonce ^:private ambient-lock (Object.))

(defn- set-text [text]
  (when-not (or (nil? text) (= "" text)) text))

(defn- env
  "The first of these environment variables that is set."
  [& names]
  (some (fn [^String name] (set-text (System/getenv name))) names))

(defn- ambient-place
  "Where the ambient engine is: the names are weighed as by the command line."
  []
  (let [property (set-text (System/getProperty "errand.db"))
        db (env "ERRAND_DB")
        url (env "ERRAND_API_URL")]
    (when (and db url (not property))
      (throw (native/invalid (str "ERRAND_DB and ERRAND_API_URL are both given: jobs are in a database or behind a control"
                                  " plane, name one"))))
    (or property db url (env "BREYTA_API_URL") "errand.db")))

(defn- ambient-options [place]
  (let [workspace (env "ERRAND_WORKSPACE" "BREYTA_WORKSPACE")
        api-key (env "ERRAND_API_KEY" "BREYTA_API_KEY" "BREYTA_TOKEN")]
    (cond-> {}
      workspace (assoc :workspace workspace)
      (and api-key (native/url? place)) (assoc :api-key api-key))))

(defn- ambient-engine
  "The ambient engine; opened where it never was, or where it was closed and `again?` is true."
  ^Engine [again?]
  (let [usable (fn [^Engine engine]
                 (when (and engine (not (and again? (.isClosed engine))))
                   engine))]
    (or (usable @ambient)
        (locking ambient-lock
          (or (usable @ambient)
              (let [place (ambient-place)]
                (reset! ambient (native/open place (ambient-options place)))))))))

(defn current
  "The engine that functions use when none is given: `*engine*`, else the ambient one, opened where it is not yet.

  Throws :closed where the ambient engine was closed; `(open)` opens it again."
  []
  (or *engine*
      (let [engine (ambient-engine false)]
        (when (.isClosed engine)
          (throw (native/error :closed "incorrect" "ambient engine is closed; (errand.core/open) opens it again")))
        engine)))

(defn open
  "Opens an engine on the SQLite database at `place`, and makes the file where it is missing; or on the control plane
  at the http address `place`.

    (with-open [engine (errand/open \"jobs.db\" {:workspace \"reviews\"})]
      (errand/submit engine {:job-type \"agent-review\"}))
    (errand/open \"http://127.0.0.1:8383\" {:api-key \"…\" :workspace \"reviews\"})

  Without arguments: the ambient engine, opened where it is not yet or was closed. A database is a string, a
  java.io.File or a java.nio.file.Path. The result is java.io.Closeable. Several engines and several processes of one
  machine may open one file.

  Options:
    :workspace      whose jobs are seen; default \"default\"
    :on-event       function of one map, told of background trouble; it also goes to System.Logger \"errand\"
  of a database:
    :sync           \"full\" (default): what returned survives power loss; \"normal\" may lose the last commits then
    :create?        make a missing file; default true, otherwise :not-found
    :fallback-poll  how often to look for other processes' commits besides being woken by them, as a duration;
                    default \"1s\", false for never
    :busy-timeout   how long to wait for other processes that write, then :unavailable; default \"30s\"
    :retention      how long ended jobs and batches are kept with what they produced, as a duration; default 30 days
    :retention-by-type   {\"job-type\" \"1d\"}: types with times of their own. Both are remembered in the database
    :prune-every    how often old ones are looked for; default \"1m\"
    :resources      folder or s3:// URL for the bytes of files, remembered in the database; beside it by default
  of a control plane:
    :api-key        the key that it gave out
    :retry-for      how long a call is tried again while it cannot be reached or restarts, as a duration; default \"30s\",
                    and \"5s\" before its first answer. Every try is one operation to it. Waits are tried until their bound.

  A control plane is not spoken to before the first call. Proxies and certificates are those of HTTPS_PROXY and
  SSL_CERT_FILE.

  Throws :invalid-argument for bad options, or a file that is no database of Errand's; :not-found for a missing
  folder, or a missing file that is not to be made; :unavailable when the file cannot be read or written; :refused when
  another copy of the native library in this JVM has it open."
  (^Engine [] (ambient-engine true))
  (^Engine [place] (open place {}))
  (^Engine [place options] (native/open place options)))

(defn close
  "Closes an engine: waits on it end with :closed, workers on it stop and release their jobs. Idempotent.

  Without an argument: `*engine*`, else the ambient engine where it was opened. Jobs are not touched. Every later
  call on the engine throws :closed."
  ([] (when-let [^Engine engine (or *engine* @ambient)]
        (close engine)))
  ([engine] (.close (native/engine! engine))))

(defn- options
  "An options map with `more` merged over it."
  [given more]
  (when-not (or (nil? given) (map? given))
    (throw (native/invalid (str "options are " (native/shown given) "; allowed: a map"))))
  (merge given more))

(defn- with-engine
  "Calls `f` with engine, subject and options, where the engine may be left out of `args`."
  [f args]
  (if (native/engine? (first args))
    (apply f args)
    (apply f (current) args)))

(defn- flat
  "The batch map of a reply, with what stands beside it."
  [reply]
  (merge (:batch reply) (dissoc reply :batch)))

;; Submitting and reading

(defn ^{:errand/command "jobs.create"} submit
  "Stores one queued job and gives it back.

    (submit {:job-type \"agent-review\" :payload {:surface \"flows-api\"}})

  Once it returns, the job survives a crash of the process (and power loss, unless the engine was opened with
  :sync \"normal\").

    :job-type                required; 1 to 128 of A-Z a-z 0-9 . _ : / -
    :payload                 what the worker is to work on, at most 1 MiB as EDN text; {} when absent
    :metadata                your own notes, at most 64 KiB
    :max-attempts            1 to 100, default 3: how many lost leases and retryable failures it may use up
    :idempotency-key         unique in the workspace: the same key gives the same job back, and is :refused when
                             the rest differs
    :root-workflow-id, :parent-step-id, :fanout-parent-step-id   where it comes from
    :fanout-max-concurrency  cap on jobs under lease at once within (root workflow, fan-out step)"
  ([job] (submit (current) job))
  ([engine job] (:job (native/call engine "jobs.create" job))))

(defn ^{:errand/command "jobs.batches.create"} submit-batch
  "Stores a batch of queued jobs of one type, all or none.

    (submit-batch {:job-type \"agent-review\" :jobs [{:payload {:surface \"flows-api\"}} {:payload {:surface \"runtime\"}}]})

  Gives the batch map with its :jobs: as many as 64 MiB hold, with :jobs-truncated? where that is not all.

    :job-type       required
    :jobs           required; 1 to 10000 maps of :payload, :metadata and :max-attempts, 128 MiB in all
    :metadata       the batch's own notes
    :max-attempts   for jobs that say none; default 3
    :idempotency-key, :root-workflow-id, :parent-step-id, :fanout-parent-step-id   as in `submit`
    :fanout-max-concurrency   cap on the batch's jobs under lease at once"
  ([batch] (submit-batch (current) batch))
  ([engine batch] (flat (native/call engine "jobs.batches.create" batch))))

(defn ^{:errand/command "jobs.get"} job
  "Reads the latest state of one job.

  Throws :not-found for an unknown id, or one of another workspace."
  ([job-id] (job (current) job-id))
  ([engine job-id] (:job (native/call engine "jobs.get" {:job-id job-id}))))

(defn ^{:errand/command "jobs.batches.get"} batch
  "Reads the latest state of one batch and its first jobs.

    (batch batch-id)
    (batch batch-id {:include-jobs? true :limit 1000})

    :include-jobs?  whether :jobs is in the result; default false
    :limit          how many of them, 1 to 10000; default 100. :jobs-truncated? true says that there are more

  Throws :not-found for an unknown id."
  {:arglists '([batch-id] [batch-id options] [engine batch-id] [engine batch-id options])}
  [& args]
  (with-engine (fn ([engine id] (batch engine id {}))
                 ([engine id opts]
                  (flat (native/call engine "jobs.batches.get"
                             (merge {:include-jobs? false} (options opts {:batch-id id}))))))
    args))

(defn ^{:errand/command "jobs.list"} list-jobs
  "Lists jobs, newest first, a page at a time.

    (list-jobs {:status \"queued\" :limit 10})

  Gives {:items [job …]} and, where there are more, :next-cursor for the :cursor of the next call.

    :job-type, :batch-id, :status   only these
    :full?    whether to give payloads, results and histories too; default false
    :limit    1 to 1000, default 50
    :cursor   :next-cursor of the page before"
  ([] (list-jobs (current) {}))
  ([options] (if (native/engine? options)
               (list-jobs options {})
               (list-jobs (current) options)))
  ([engine options] (native/call engine "jobs.list" options)))

(defn ^{:errand/command "jobs.batches.list"} list-batches
  "Lists batches, newest first, a page at a time.

  Gives {:items [batch …] :next-cursor …} as `list-jobs` does.

    :job-type, :status   only these
    :limit    1 to 1000, default 50
    :cursor   :next-cursor of the page before"
  ([] (list-batches (current) {}))
  ([options] (if (native/engine? options)
               (list-batches options {})
               (list-batches (current) options)))
  ([engine options] (native/call engine "jobs.batches.list" options)))

(defn ^{:errand/command "jobs.stats"} stats
  "Counts the jobs of the workspace by type and status.

    :job-type   only this type"
  ([] (stats (current) {}))
  ([options] (if (native/engine? options)
               (stats options {})
               (stats (current) options)))
  ([engine options] (native/call engine "jobs.stats" options)))

;; Waiting

(defn- await-config [op id-key id opts]
  (options opts {:op op id-key id}))

(defn ^{:errand/command "jobs.await"} await-job
  "Waits until a job is terminal, and gives the job.

    (await-job job-id)
    (await-job job-id {:timeout \"45m\"})

  It is woken by the commit that ends the job, in whatever process of this machine.

    :timeout       how long to wait at most; default 5m where :max-attempts is not given either. :timeout-ms, the
                   command's own name for it, does as well
    :interval      delay between scheduled checks, which stand behind the wake-ups; default \"1s\"
    :backoff       how that delay grows: :constant (default), or {:type :constant|:linear|:exponential :factor n :max \"2m\"}
    :max-attempts  how many scheduled checks at most, the first read included

  Throws :await-timeout with the last state under :errand/job when a bound is reached (the job goes on), :not-found
  for an unknown id, :closed when the engine is closed meanwhile, InterruptedException."
  {:arglists '([job-id] [job-id options] [engine job-id] [engine job-id options])}
  [& args]
  (with-engine (fn ([engine id] (await-job engine id {}))
                 ([engine id opts] (native/step engine "" (await-config :await :job-id id opts))))
    args))

(defn ^{:errand/command "jobs.batches.await"} await-batch
  "Waits until every job of a batch is terminal, and gives the batch.

    (await-batch batch-id {:timeout \"45m\" :include-jobs? true})

  Options as of `await-job`, and :include-jobs? and :limit as of `batch`. Throws :await-timeout with the last state
  under :errand/batch."
  {:arglists '([batch-id] [batch-id options] [engine batch-id] [engine batch-id options])}
  [& args]
  (with-engine (fn ([engine id] (await-batch engine id {}))
                 ([engine id opts] (native/step engine "" (await-config :await-batch :batch-id id opts))))
    args))

(defn- later
  "As `native/step-async`, on the executor that the options name."
  ^CompletableFuture [engine config]
  (let [executor (:executor config (ForkJoinPool/commonPool))]
    (when-not (instance? Executor executor)
      (throw (native/invalid (str ":executor is " (native/shown executor) "; allowed: a java.util.concurrent.Executor") [:executor])))
    (native/step-async engine "" (dissoc config :executor) executor)))

(defn await-async
  "As `await-job`, but gives a CompletableFuture of the job at once.

    (.thenAccept (await-async job-id {:timeout \"1h\"}) (reify Consumer (accept [_ job] …)))

  It is completed on :executor, a java.util.concurrent.Executor (default the common pool), never on the engine's own
  thread; errors complete it exceptionally, bad arguments too where only the engine can tell. Cancelling it ends the
  wait and leaves the job alone. Other options as of `await-job`."
  {:arglists '([job-id] [job-id options] [engine job-id] [engine job-id options])}
  [& args]
  (with-engine (fn ([engine id] (await-async engine id {}))
                 ([engine id opts] (later engine (await-config :await :job-id id opts))))
    args))

(defn await-batch-async
  "As `await-batch`, but gives a CompletableFuture of the batch at once; see `await-async`."
  {:arglists '([batch-id] [batch-id options] [engine batch-id] [engine batch-id options])}
  [& args]
  (with-engine (fn ([engine id] (await-batch-async engine id {}))
                 ([engine id opts] (later engine (await-config :await-batch :batch-id id opts))))
    args))

;; Operating

(defn ^{:errand/command "jobs.cancel"} cancel!
  "Cancels a queued job, or asks the worker of an active one to stop.

    (cancel! job-id)
    (cancel! job-id {:reason \"superseded\"})

  Gives the job: \"cancelled\", or still active with :cancel-requested? true until its worker is told at its next
  heartbeat. Throws :refused where the job is terminal."
  {:arglists '([job-id] [job-id options] [engine job-id] [engine job-id options])}
  [& args]
  (with-engine (fn ([engine id] (cancel! engine id {}))
                 ([engine id opts] (:job (native/call engine "jobs.cancel" (options opts {:job-id id})))))
    args))

(defn ^{:errand/command "jobs.retry"} retry!
  "Queues a failed, timed out or cancelled job again.

  Gives the job, with at least one more attempt. Its batch is open again. Throws :refused in any other status."
  ([job-id] (retry! (current) job-id))
  ([engine job-id] (:job (native/call engine "jobs.retry" {:job-id job-id}))))

(defn ^{:errand/command "jobs.batches.cancel"} cancel-batch!
  "Cancels the queued jobs of a batch and asks the workers of its active ones to stop.

  Gives the batch. :reason as of `cancel!`."
  {:arglists '([batch-id] [batch-id options] [engine batch-id] [engine batch-id options])}
  [& args]
  (with-engine (fn ([engine id] (cancel-batch! engine id {}))
                 ([engine id opts] (flat (native/call engine "jobs.batches.cancel" (options opts {:batch-id id})))))
    args))

;; For workers of your own. errand.worker does all of this.

(defn ^{:errand/command "jobs.claim"} claim!
  "Leases the next due job of a type to a worker, or gives no job when nothing is due.

    (claim! {:job-type \"agent-review\" :worker-id \"me\" :wait-ms \"30s\"})

  Gives the job, whose :lease-token the functions below need, or nil. The lease must be renewed with `heartbeat!` or
  `progress!`; when it runs out the job goes to another worker.

    :job-type, :worker-id   required
    :batch-id        only this batch's jobs
    :worker-labels   {\"name\" \"value\"}, recorded on the job
    :lease-duration  1s to 24h, default 2m
    :wait-ms         how long to wait for a job; not at all when absent
    :request-id      repeated while the lease lives, it gives the same claim again: for calls whose answer was lost"
  ([claim] (claim! (current) claim))
  ([engine claim] (:job (native/call engine "jobs.claim" claim))))

(defn- leased
  "Runs a command on a claimed job."
  [engine command job opts]
  (when-not (map? job)
    (throw (native/invalid (str "job is " (native/shown job) "; allowed: what errand.core/claim! gives"))))
  (native/call engine command (options opts (select-keys job [:job-id :lease-token]))))

(defn ^{:errand/command "jobs.heartbeat"} heartbeat!
  "Extends the lease and tells the worker to go on, to cancel or to drain.

    (heartbeat! job)

  `job` is what `claim!` gave. Gives {:job … :directive \"ok\"|\"cancel\"|\"drain\" :lease-remaining-ms n}.

    :lease-duration   how long the lease lasts from now; default 2m

  Throws :lease-lost when the job is no longer yours: stop working on it."
  {:arglists '([job] [job options] [engine job] [engine job options])}
  [& args]
  (with-engine (fn ([engine job] (heartbeat! engine job {}))
                 ([engine job opts] (leased engine "jobs.heartbeat" job opts)))
    args))

(defn ^{:errand/command "jobs.progress"} progress!
  "Reports progress and extends the lease; fields that are given replace, artifacts append.

    (progress! job {:status \"running\" :message \"3 of 7 files\" :metrics {:files 3}})

  Gives {:job … :directive …} as `heartbeat!` does.

    :status      \"leased\" \"started\" \"running\"; a lower one than it has is ignored
    :message     for people, at most 8 KiB
    :details, :metrics   any value, at most 256 KiB each
    :artifacts   maps with :kind and :label, or a lone one"
  {:arglists '([job] [job options] [engine job] [engine job options])}
  [& args]
  (with-engine (fn ([engine job] (progress! engine job {}))
                 ([engine job opts] (leased engine "jobs.progress" job opts)))
    args))

(defn ^{:errand/command "jobs.complete"} complete!
  "Ends the job with a result.

    (complete! job {:summary \"2 findings\" :outputs {:findings 2}})

  Gives the job. The same call again with the same token gives the same answer.

    :status       \"succeeded\" (default) \"no_changes\" \"cancelled\"
    :summary      the result in a sentence, at most 8 KiB
    :outputs      the result itself, any value, at most 1 MiB
    :metrics, :worker-info   any value, at most 256 KiB each
    :artifacts    as in `progress!`"
  {:arglists '([job] [job options] [engine job] [engine job options])}
  [& args]
  (with-engine (fn ([engine job] (complete! engine job {}))
                 ([engine job opts] (:job (leased engine "jobs.complete" job opts))))
    args))

(defn ^{:errand/command "jobs.fail"} fail!
  "Ends the job as failed, for good unless it is marked retryable and has attempts left.

    (fail! job {:message \"repository is gone\" :code \"no_repository\"})

  Gives the job: \"failed\", or \"queued\" again. :max-attempts alone does not make a failure retryable.

    :message, :code   what went wrong, for people and for programs
    :details          any value, at most 256 KiB
    :artifacts        as in `progress!`
    :retryable        whether another attempt may help; default false
    :retry-after-ms   delay of that attempt; grows from 1s to 5m when absent"
  {:arglists '([job] [job options] [engine job] [engine job options])}
  [& args]
  (with-engine (fn ([engine job] (fail! engine job {}))
                 ([engine job opts] (:job (leased engine "jobs.fail" job opts))))
    args))

(defn ^{:errand/command "jobs.release"} release!
  "Gives the job back unfinished, at no cost to its attempts.

    (release! job {:reason \"shutting down\"})

  Gives the job: \"queued\", or \"cancelled\" where a cancel was requested."
  {:arglists '([job] [job options] [engine job] [engine job options])}
  [& args]
  (with-engine (fn ([engine job] (release! engine job {}))
                 ([engine job opts] (:job (leased engine "jobs.release" job opts))))
    args))

;; Serving others

(defn serve!
  "Serves an engine to programs on other machines and in other languages, over HTTP, as 'errand serve' does.

    (with-open [server (serve! {:listen \"127.0.0.1:0\"})]
      (.port server) (.url server) (.token server))

  The result is java.io.Closeable: closing it drains (workers are told, long polls end, requests are finished) and lets
  go of the port. Closing the engine closes it too.

    :listen      address and port; default \"127.0.0.1:8383\", port 0 takes a free one
    :tls-cert, :tls-key   files in PEM: serves https
    :public-url  how others reach it, where it stands behind a proxy
    :no-auth?    let in any token and none, on loopback addresses only; default false
    :drain-time  how long connected workers are told to drain before it ends; default \"1s\"

  Callers need a key (see `create-key!`); as long as there are none it listens on loopback addresses only and takes the
  token that was made for this run, `(.token server)`. Throws :invalid-argument for an address that cannot be listened on."
  (^Server [] (serve! (current) {}))
  (^Server [options] (if (native/engine? options)
                       (serve! options {})
                       (serve! (current) options)))
  (^Server [engine options] (native/serve engine (merge {:drain-time "1s"} options))))

(defn ^{:errand/command "service_accounts.create"} create-service-account!
  "Makes a service account, for which keys can be made.

    (create-service-account! {:name \"reviewers\" :capabilities [\"jobs.worker\"] :allowed-job-types [\"agent-review\"]})

    :name               what it is for, for people
    :capabilities       scopes of its keys: \"jobs.submit\" \"jobs.read\" \"jobs.worker\" \"jobs.manage\"
                        \"resources.read\" \"resources.write\" \"workspace.full\" (everything)
    :allowed-job-types  the only job types that its keys are for; all when absent
    :metadata           your own notes"
  ([account] (create-service-account! (current) account))
  ([engine account] (:service-account (native/call engine "service_accounts.create" account))))

(defn ^{:errand/command "service_accounts.list"} list-service-accounts
  "Lists service accounts, newest first, a page at a time.

  Gives {:items [account …] :next-cursor …} as `list-jobs` does. :limit 1 to 1000, default 50; :cursor."
  ([] (list-service-accounts (current) {}))
  ([options] (if (native/engine? options)
               (list-service-accounts options {})
               (list-service-accounts (current) options)))
  ([engine options] (native/call engine "service_accounts.list" options)))

(defn ^{:errand/command "service_accounts.get"} service-account
  "Reads one service account.

  Throws :not-found for an unknown id, or one of another workspace."
  ([account-id] (service-account (current) account-id))
  ([engine account-id]
   (:service-account (native/call engine "service_accounts.get" {:service-account-id account-id}))))

(defn ^{:errand/command "service_accounts.update"} update-service-account!
  "Changes a service account; what is absent stays, and keys feel it at once.

    (update-service-account! account-id {:status \"disabled\"})

    :status   \"active\" \"disabled\": keys of a disabled account open nothing
    :name, :capabilities, :allowed-job-types (all when empty), :metadata   as of `create-service-account!`"
  ([account-id changes] (update-service-account! (current) account-id changes))
  ([engine account-id changes]
   (:service-account (native/call engine "service_accounts.update"
                                  (options changes {:service-account-id account-id})))))

(defn ^{:errand/command "service_accounts.keys.create"} create-key!
  "Makes a key of a service account and shows its secret, this once.

    (:secret (create-key! account-id {:name \"ci\"}))

    :name        where it is used, for people
    :expires-at  when it ceases to open anything, an #inst; never when absent
    :metadata    your own notes"
  {:arglists '([account-id] [account-id options] [engine account-id] [engine account-id options])}
  [& args]
  (with-engine (fn ([engine id] (create-key! engine id {}))
                 ([engine id opts]
                  (:key (native/call engine "service_accounts.keys.create" (options opts {:service-account-id id})))))
    args))

(defn ^{:errand/command "service_accounts.keys.list"} list-keys
  "Lists the keys of a service account, newest first, without their secrets.

  Gives {:items [key …] :next-cursor …} as `list-jobs` does. :limit 1 to 1000, default 50; :cursor."
  {:arglists '([account-id] [account-id options] [engine account-id] [engine account-id options])}
  [& args]
  (with-engine (fn ([engine id] (list-keys engine id {}))
                 ([engine id opts]
                  (native/call engine "service_accounts.keys.list" (options opts {:service-account-id id}))))
    args))

(defn ^{:errand/command "service_accounts.keys.revoke"} revoke-key!
  "Revokes a key for good, at once.

    (revoke-key! key-id)

    :service-account-id   the service account that it is of, where that is to be sure"
  {:arglists '([key-id] [key-id options] [engine key-id] [engine key-id options])}
  [& args]
  (with-engine (fn ([engine id] (revoke-key! engine id {}))
                 ([engine id opts] (:key (native/call engine "service_accounts.keys.revoke" (options opts {:key-id id})))))
    args))

;; What jobs produce

(defn ^{:errand/command "jobs.attach_kv"} attach-kv!
  "Stores a value under a key of the job and records it on the job at once.

    (attach-kv! job {:label \"totals\" :value {:files 3}})

  `job` is what `claim!` gave. Gives the artifact, whose :resource-uri `resource` reads.

    :label          required; an artifact of the same kind and label is replaced
    :value          required; any value, at most 1 MiB
    :key            the label when absent; another value under it is replaced
    :kind           of the artifact, default \"kv\"
    :content-type   default \"application/json\"
    :ttl-seconds    after so many seconds it is not found any more

  Throws :lease-lost when the job is no longer yours."
  {:arglists '([job value] [engine job value])}
  ([job value] (attach-kv! (current) job value))
  ([engine job value] (:artifact (leased engine "jobs.attach_kv" job value))))

(defn ^{:errand/command "jobs.attach_table"} attach-table!
  "Stores rows in a table of the job and records it on the job at once.

    (attach-table! job {:label \"findings\" :rows [{:file \"a.rs\" :line 3}] :index-fields [:file]})

  Gives the artifact; `table-query` reads the rows. New fields are added as rows have them.

    :label          required
    :rows           required; 1 to 10000 maps, at most 16 MiB together
    :table          name of the table among the job's; the label when absent
    :write-mode     \"append\" (default), or \"upsert\": a row with the same key fields gets the new row's fields
    :key-fields     what an upsert finds a row by
    :index-fields   what queries are fast by
    :schema-mode    \"flexible\"
    :kind, :content-type   of the artifact

  Throws :lease-lost when the job is no longer yours."
  {:arglists '([job rows] [engine job rows])}
  ([job rows] (attach-table! (current) job rows))
  ([engine job rows] (:artifact (leased engine "jobs.attach_table" job rows))))

(defn ^{:errand/command "resources.list"} list-resources
  "Lists resources, newest first, a page at a time.

    (list-resources {:job-id job-id})

  Gives {:items [{:uri … :type … :content-type … :size-bytes …} …] :next-cursor …} as `list-jobs` does.

    :type     only these: \"file\" \"kv\" \"table\"
    :job-id   only this job's
    :limit    1 to 1000, default 50
    :cursor   :next-cursor of the page before"
  ([] (list-resources (current) {}))
  ([options] (if (native/engine? options)
               (list-resources options {})
               (list-resources (current) options)))
  ([engine options] (native/call engine "resources.list" options)))

(defn ^{:errand/command "resources.get"} resource-info
  "Reads what is known of one resource.

  Throws :not-found for an unknown one, one of another workspace, or one whose time is over."
  ([uri] (resource-info (current) uri))
  ([engine uri] (:resource (native/call engine "resources.get" {:uri uri}))))

(defn- all-rows [engine uri]
  (loop [rows []]
    (let [page (native/call engine "resources.read" {:uri uri :offset (count rows) :limit 10000})
          rows (into rows (:rows page))]
      (if (and (:has-more page) (seq (:rows page)))
        (recur rows)
        rows))))

(def ^:private part-bytes
  "Bytes of a file that cross at once." (* 512 1024))

(defn- file-stream [engine uri]
  (FileStream. (fn [offset]
                 (native/call engine "resources.read" {:uri uri :view "base64" :offset offset :limit part-bytes}))))

(def ^:private text-type
  #"(?i)text/.*|application/(json|xml|yaml|toml|javascript|x-sh|x-ndjson)\b.*|[^;]*\+(json|xml)\b.*")

(defn ^{:errand/command "resources.read"} resource
  "Reads the content of a resource: text, data, rows, or bytes as base64, a part at a time.

    (resource \"res://v1/ws/default/result/kv/…\")          the value
    (resource \"res://v1/ws/default/result/table/…\")       a vector of all rows; `table-query` gives some
    (resource \"res://v1/ws/default/file/…\")               by its content type: a string for text, a value for EDN,
                                                          else a java.io.InputStream, for with-open

  Bytes of a file come to the stream a part at a time and are never in memory together.

    :view     \"text\" for a string, \"base64\" for an InputStream, whatever the content type of a file is
    :limit, :offset   one part only: the reply with :content, or :rows, and :has-more

  Throws :not-found for an unknown resource, or one whose time is over."
  {:arglists '([uri] [uri options] [engine uri] [engine uri options])}
  [& args]
  (with-engine
    (fn ([engine uri] (resource engine uri {}))
      ([engine uri opts]
       (if (or (:limit opts) (:offset opts))
         (native/call engine "resources.read" (options opts {:uri uri}))
         (let [info (resource-info engine uri)
               type (:type info)
               content-type (:content-type info)
               view (:view opts)]
           (cond
             (= "result/kv" type) (:content (native/call engine "resources.read" {:uri uri}))
             (= "result/table" type) (all-rows engine uri)
             (= "base64" view) (file-stream engine uri)
             (or (= "text" view) (re-matches text-type content-type)) (slurp (file-stream engine uri) :encoding "UTF-8")
             (str/starts-with? content-type "application/edn")
             (edn/read-string {:default tagged-literal} (slurp (file-stream engine uri) :encoding "UTF-8"))
             :else (file-stream engine uri))))))
    args))

(defn ^{:errand/command "resources.table_query"} table-query
  "Finds rows of a table.

    (table-query uri {:where [[:severity \">=\" 3] [:file \"contains\" \".rs\"]] :sort [[:line \"desc\"]] :limit 20})

  Gives {:rows [{…} …] :count n :page {:limit … :offset … :has-more …} :table-id … :table-name …}; :count is how many
  rows are in this page.

    :select   fields to give; all when absent
    :where    conditions that all have to hold: [field operator value], the operators
              = != < <= > >= in contains
    :sort     fields in the order of their weight, [field \"asc\"|\"desc\"]
    :limit    1 to 10000, default 100
    :offset   how many rows to pass over"
  {:arglists '([uri] [uri options] [engine uri] [engine uri options])}
  [& args]
  (with-engine (fn ([engine uri] (table-query engine uri {}))
                 ([engine uri opts] (native/call engine "resources.table_query" (options opts {:uri uri}))))
    args))

(defn ^{:errand/command "resources.delete"} delete-resource!
  "Removes a resource; artifacts that name it stay.

  Throws :not-found for an unknown one."
  ([uri] (delete-resource! (current) uri))
  ([engine uri] (native/call engine "resources.delete" {:uri uri})))

;; Keeping and removing

(defn ^{:errand/command "jobs.retention"} retention!
  "Tells how long what has ended is kept in the workspace, and sets what is given.

    (retention! {:keep \"30d\" :by-type {\"agent-review\" \"1d\"}})

  Gives {:keep-ms n :by-type {\"type\" n}}. It is remembered in the database, for all who open it.

    :keep      for all types that have no time of their own; 30 days at first
    :by-type   job types with times of their own, instead of those before"
  ([] (retention! (current) {}))
  ([options] (if (native/engine? options)
               (retention! options {})
               (retention! (current) options)))
  ([engine options] (:retention (native/call engine "jobs.retention" options))))

(defn ^{:errand/command "jobs.prune"} prune!
  "Removes jobs, whole batches and their resources that ended longer ago than they are kept.

  An open engine does this by itself, every minute where its :prune-every says nothing else. Gives {:jobs n :batches n :resources n}.

    :older-than   how long ago, as a duration; as they are kept (see `retention!`) when absent
    :job-type     only this type"
  ([] (prune! (current) {}))
  ([options] (if (native/engine? options)
               (prune! options {})
               (prune! (current) options)))
  ([engine options] (native/call engine "jobs.prune" options)))

;; Exploring

(defn describe
  "What the native library says about itself: {:version :commands :step-ops :codes}.

  Each of :commands has :name, :doc, :mutates? and :fields, and each field its :name, :kind, :required?, :doc and
  bounds. Needs no engine."
  []
  @native/table)

(defn commands
  "The names of all commands with their fields: {\"jobs.get\" {:required [:job-id] :optional []} …}."
  []
  (let [keys-of (fn [fields] (mapv (comp keyword :name) fields))
        described (fn [command]
                    {:required (keys-of (filter :required? (:fields command)))
                     :optional (keys-of (remove :required? (:fields command)))})]
    (into (sorted-map) (map (juxt :name described)) (:commands (describe)))))
