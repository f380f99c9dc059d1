(ns errand.impl.native
  "Between the public namespaces and the native library: values to bytes and back, replies to values or
  exceptions, and the life of an engine. It does not know single commands.

  Private: nothing here is promised to callers."
  (:require [clojure.string :as str])
  (:import [errand.impl Codec CodecException Encoder Engine Native OpenFiles OpenFiles$HeldElsewhere Pending Server]
           [java.io File IOException]
           [java.nio.file InvalidPathException Path Paths]
           [java.time Duration]
           [java.lang System$Logger$Level]
           [java.util Map]
           [java.util.concurrent CompletableFuture CompletionException Executor]
           [java.util.function BiConsumer BiFunction Consumer]))

(set! *warn-on-reflection* true)

;; Errors

(defn error
  "An ExceptionInfo as every public function throws it. `details` are named facts."
  ([code category message] (error code category message nil nil))
  ([code category message path details]
   (ex-info message
            (cond-> {:errand/code code
                     :errand/retry? false
                     :cognitect.anomalies/category (keyword "cognitect.anomalies" category)}
              (seq path) (assoc :errand/path path)
              details (into (map (fn [[k v]] [(keyword "errand" (name k)) v])) details)))))

(defn invalid
  "An :invalid-argument error with the path of the offending place."
  ([message] (invalid message nil))
  ([message path] (error :invalid-argument "incorrect" message path nil)))

(defn shown
  "A caller's value as an error shows it: the beginning of it, and of a collection only what it is, since it may be
  endless, and hold secrets."
  [x]
  (cond
    (map? x) "a map"
    (vector? x) "a vector"
    (set? x) "a set"
    (coll? x) "a list"
    :else (let [text (pr-str x)]
            (if (< 80 (count text)) (str (subs text 0 80) "…") text))))

(defn- reply-error [{:keys [code message retry? category path details]}]
  (-> (error (keyword code) category message path details)
      (as-> e (ex-info (ex-message e) (assoc (ex-data e) :errand/retry? retry?)))))

(def ^:private path-shown
  "Steps of a path that a message shows; ex-data has them all." 8)

(defn- place
  "A path as the beginning of a message."
  [path]
  (binding [*print-length* 3
            *print-level* 2]
    (str (str/join " " (map pr-str (take path-shown path)))
         (when (< (long path-shown) (count path)) " …"))))

(defn- codec-error [^CodecException e]
  (let [path (.path e)
        text (ex-message e)
        ;; Where the text begins with the last step itself, only the steps before it are missing.
        before (if (and (seq path) (str/starts-with? text (pr-str (peek path))))
                 (pop path)
                 path)
        message (cond->> text
                  (seq before) (str (place before) " "))]
    (if (= "too-large" (.kind e))
      (error :payload-too-large "incorrect" message path nil)
      (invalid message path))))

(defn- value
  "The data of a reply, or its error thrown."
  [^bytes reply]
  (let [data (Codec/decode reply 1)]
    (if (zero? (aget reply 0))
      data
      (throw (reply-error data)))))

;; The table of commands

(defn- usable!
  "Throws why the native library cannot be used, each time anew."
  []
  (when-let [failure (Native/loadFailure)]
    (let [why (str (ex-message failure))]
      (throw
       (ex-info (if (str/includes? why "already loaded in another classloader")
                  (str "native library is in use by another class loader of this JVM; load Errand in one class"
                       " loader that all code shares, or start a new JVM: " why)
                  (str "native library cannot be loaded: " why))
                {:errand/code :unavailable
                 :errand/retry? false
                 :cognitect.anomalies/category :cognitect.anomalies/unavailable}
                failure)))))

(def table
  "What the engine says about itself: {:version :commands :step-ops :codes}."
  (delay (usable!)
         (value (Native/describe))))

(def ^:private indexes
  (delay (into {} (map-indexed (fn [index command] [(:name command) index])) (:commands @table))))

(def ^:private limits
  "Bytes of EDN text that each field of caller's data may have, by field name."
  (delay (Map/copyOf (into {}
                           (comp (mapcat :fields)
                                 (filter #(= "open" (:kind %)))
                                 (map (juxt :name :max)))
                           (:commands @table)))))

;; Arguments

(defn- millis [^Duration duration path]
  (try (.toMillis duration)
       (catch ArithmeticException _
         (throw (invalid (str (place path) " is " duration "; allowed: what fits into a long of milliseconds") path)))))

(defn- plain
  "The arguments as they cross: without the caller's own (namespaced) keys, with durations in milliseconds. Payloads
  and the like are left alone."
  [args path]
  (reduce-kv (fn [out k v]
               (cond
                 (and (keyword? k) (namespace k)) (dissoc out k)
                 (instance? Duration v) (if (and (keyword? k) (.containsKey ^Map @limits (name k)))
                                          out
                                          (assoc out k (millis v (conj path k))))
                 (and (= :backoff k) (map? v)) (assoc out k (plain v (conj path k)))
                 :else out))
             args
             args))

(defn- crossing
  "Arguments as they are to cross, checked to be a map."
  [args what]
  (when-not (map? args)
    (throw (invalid (str what " is " (if (nil? args) "nil" (str "a " (.getName (class args)))) "; allowed: a map"))))
  (plain args []))

(defn- encode ^bytes [args what]
  (let [args (crossing args what)]
    (try (Codec/encode args @limits)
         (catch CodecException e
           (throw (codec-error e))))))

(defn- lend
  "As `encode`, for the one native call that follows."
  ^Encoder [args what]
  (let [args (crossing args what)]
    (try (Codec/lend args @limits)
         (catch CodecException e
           (throw (codec-error e))))))

(defn- encode-id ^bytes [step-id]
  (when-not (or (keyword? step-id) (string? step-id) (symbol? step-id))
    (throw (invalid (str "step id is " (if (nil? step-id) "nil" (str "a " (.getName (class step-id))))
                         "; allowed: a keyword, symbol or string"))))
  (try (Codec/encodeName step-id)
       (catch CodecException e
         (throw (codec-error e)))))

;; Calls

(defn engine? [x] (instance? Engine x))

(defn engine!
  "The engine itself; anything else is refused."
  ^Engine [x]
  (if (engine? x)
    x
    (throw (invalid (str "engine is " (shown x) "; allowed: what errand.core/open gives")))))

(defn- index-of ^long [command]
  (usable!)
  (or (get @indexes command)
      (throw (invalid (str "command \"" command "\" is unknown")))))

(defn- start-call ^Pending [engine command args]
  (Native/begin (.handle (engine! engine)) (int (index-of command)) (lend args "arguments")))

(defn call
  "Runs a command and gives its data. Throws what the command says no with, and InterruptedException."
  [engine command args]
  (let [index (int (index-of command))]
    (value (Native/await (Native/ask (.handle (engine! engine)) index (lend args "arguments"))))))

(defn- start-step ^Pending [engine step-id config]
  (usable!)
  (Native/beginStep (.handle (engine! engine)) (encode-id step-id) (lend config "step config")))

(defn step
  "Runs a step of a flow and gives the job or batch map."
  [engine step-id config]
  (usable!)
  (value (Native/await (Native/askStep (.handle (engine! engine)) (encode-id step-id) (lend config "step config")))))

(defn- future-of
  "A future of the reply's value, completed on `executor`; cancelling it gives the call up."
  ^CompletableFuture [^Pending pending ^Executor executor]
  (let [decoded (.handleAsync pending
                              (reify BiFunction
                                (apply [_ reply failure]
                                  (if failure
                                    (throw (CompletionException. ^Throwable failure))
                                    (value reply))))
                              executor)]
    (.whenComplete decoded
                   (reify BiConsumer
                     (accept [_ _ failure]
                       (when (.isCancelled decoded)
                         (.cancel pending false)))))
    decoded))

(defn call-async
  "As `call`, as a CompletableFuture that is completed on `executor`. Bad arguments throw at once."
  ^CompletableFuture [engine command args executor]
  (future-of (start-call engine command args) executor))

(defn step-async
  "As `step`, as a CompletableFuture that is completed on `executor`."
  ^CompletableFuture [engine step-id config executor]
  (future-of (start-step engine step-id config) executor))

;; Engines

(defmethod print-method Engine [engine ^java.io.Writer out]
  (.write out (str engine)))

(defn- log-event
  "Tells System.Logger \"errand\": a panic as an error, other trouble as a warning, the rest as debug."
  [{:keys [event message] :as all}]
  (let [logger (System/getLogger "errand")
        level (cond
                (= "panic" event) System$Logger$Level/ERROR
                (str/ends-with? (str event) "-failed") System$Logger$Level/WARNING
                :else System$Logger$Level/DEBUG)]
    (when (.isLoggable logger level)
      (.log logger ^System$Logger$Level level (str event ": " message (when-let [at (:at all)] (str " at " at)))))))

(defn- listener
  "Tells the log and `on-event` of background events; what `on-event` throws is logged."
  ^Consumer [on-event]
  (reify Consumer
    (accept [_ reply]
      (let [event (Codec/decode ^bytes reply 1)]
        (log-event event)
        (when on-event
          (try (on-event event)
               (catch Throwable t
                 (.log (System/getLogger "errand") System$Logger$Level/WARNING
                       "the :on-event function failed" t))))))))

(defn- absolute ^Path [path]
  (try
    (cond
      (instance? Path path) (.toAbsolutePath ^Path path)
      (instance? File path) (.toAbsolutePath (.toPath ^File path))
      (and (string? path) (not (str/blank? path))) (.toAbsolutePath (Paths/get path (make-array String 0)))
      :else (throw (invalid (str "database path is " (shown path) "; allowed: a string, java.io.File or java.nio.file.Path")
                            [:path])))
    (catch InvalidPathException e
      (throw (invalid (str "database path is not a path: " (ex-message e)) [:path])))))

(defn url?
  "Whether a place is the address of a control plane."
  [place]
  (and (string? place) (boolean (re-find #"(?i)^https?://" place))))

(defn- register ^OpenFiles [^Path path]
  (try (OpenFiles/register path)
       (catch OpenFiles$HeldElsewhere e
         (throw (error :refused "conflict" (ex-message e))))
       (catch IOException e
         (throw (error :unavailable "unavailable" (str "database \"" path "\" cannot be looked at: " e))))))

(defn- opened
  "The engine of an `open` reply; the file is registered by what it is, now that it exists."
  ^Engine [{:keys [handle place workspace]} ^Pending pending ^OpenFiles files]
  (try (when files
         (.opened files))
       (Engine. handle place workspace (.ticket pending) files)
       (catch Throwable t
         (Native/close handle)
         (throw (if (instance? OpenFiles$HeldElsewhere t)
                  (error :refused "conflict" (ex-message t))
                  t)))))

(defn- abandon
  "Closes the engine that an interrupted `open` may still give."
  [^Pending pending ^OpenFiles files]
  (.whenCompleteAsync pending
                      (reify BiConsumer
                        (accept [_ reply _]
                          (try (when (zero? (aget ^bytes reply 0))
                                 (Native/close (:handle (Codec/decode ^bytes reply 1))))
                               (finally
                                 (Native/unlisten (.ticket pending))
                                 (when files
                                   (.release files))))))))

(defn- named-functions
  "Options in which a symbol stands for each function, so that the engine tells what is wrong with its key."
  [options]
  (update-vals options (fn [v] (if (or (fn? v) (var? v)) 'a-function v))))

(defn open
  "Opens an engine on the database at `place`, or on the control plane at that address. `options` are those of
  errand.core/open."
  ^Engine [place options]
  (usable!)
  (Native/log (listener nil))
  (when-not (map? options)
    (throw (invalid (str "options are " (shown options) "; allowed: a map"))))
  (let [place (if (url? place) place (absolute place))
        on-event (:on-event options)
        _ (when-not (or (nil? on-event) (ifn? on-event))
            (throw (invalid (str ":on-event is " (shown on-event) "; allowed: a function of one map") [:on-event])))
        args (encode (assoc (named-functions (dissoc options :on-event)) :path (str place)) "options")
        ;; Only a database is a file that another copy of the library may hold.
        files (when (instance? Path place)
                (register place))
        release! (fn [] (when files
                          (.release ^OpenFiles files)))
        ^Pending pending (try (Native/open args (listener on-event))
                              (catch Throwable t
                                (release!)
                                (throw t)))
        reply (try (.get pending)
                   (catch InterruptedException e
                     (abandon pending files)
                     (throw e)))]
    (try (opened (value reply) pending files)
         (catch Throwable t
           (Native/unlisten (.ticket pending))
           (release!)
           (throw t)))))

;; Servers

(defmethod print-method Server [server ^java.io.Writer out]
  (.write out (str server)))

(defn serve
  "Serves an engine over HTTP. `options` are those of errand.core/serve!."
  ^Server [engine options]
  (usable!)
  (let [engine (engine! engine)
        ^Pending pending (Native/serve (.handle engine) (encode options "options"))
        started (fn [reply]
                  (let [{:keys [server url port token]} (value reply)]
                    (Server/of server url port token engine)))]
    (try (started (.get pending))
         (catch InterruptedException e
           (.whenCompleteAsync pending
                               (reify BiConsumer
                                 (accept [_ reply _]
                                   (when (zero? (aget ^bytes reply 0))
                                     (.close ^Server (started reply))))))
           (throw e)))))
