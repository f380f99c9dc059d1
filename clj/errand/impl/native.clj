(ns errand.impl.native
  "Between the public namespaces and the native library: values to bytes and back, replies to values or
  exceptions, and the life of an engine. It does not know single commands.

  Private: nothing here is promised to callers."
  (:require [clojure.string :as str])
  (:import [errand.impl Codec CodecException Encoder Engine Events Native OpenFiles OpenFiles$HeldElsewhere Server]
           [java.io File IOException]
           [java.nio.file InvalidPathException Path Paths]
           [java.time Duration]
           [java.util Map]
           [java.util.concurrent CompletableFuture]))

(set! *warn-on-reflection* true)

;; Errors

(defn error
  "An ExceptionInfo as every public function throws it; its data has `more`, too."
  ([code category message] (error code category message nil))
  ([code category message more]
   (ex-info message
            (merge {:errand/code code
                    :errand/retry? false
                    :cognitect.anomalies/category (keyword "cognitect.anomalies" category)}
                   more))))

(defn- at [path]
  (when (seq path)
    {:errand/path path}))

(defn invalid
  "An :invalid-argument error with the path of the offending place."
  ([message] (invalid message nil))
  ([message path] (error :invalid-argument "incorrect" message (at path))))

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

(defn- reply-error [reply]
  (error (keyword (:code reply)) (:category reply) (:message reply)
         (merge {:errand/retry? (:retry? reply)}
                (at (:path reply))
                (update-keys (:details reply) #(keyword "errand" (name %))))))

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
      (error :payload-too-large "incorrect" message (at path))
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

(defn call
  "Runs a command and gives its data. Throws what the command says no with, and InterruptedException."
  [engine command args]
  (let [index (int (index-of command))]
    (value (Native/await (Native/ask (.handle (engine! engine)) index (lend args "arguments"))))))

(defn step
  "Runs a step of a flow and gives the job or batch map."
  [engine step-id config]
  (usable!)
  (value (Native/await (Native/askStep (.handle (engine! engine)) (encode-id step-id) (lend config "step config")))))

(defn call-async
  "As `call`, as a CompletableFuture that is completed on `executor`. Bad arguments throw at once."
  ^CompletableFuture [engine command args executor]
  (let [index (int (index-of command))]
    (.then (Native/begin (.handle (engine! engine)) index (lend args "arguments")) value executor)))

(defn step-async
  "As `step`, as a CompletableFuture that is completed on `executor`."
  ^CompletableFuture [engine step-id config executor]
  (usable!)
  (.then (Native/beginStep (.handle (engine! engine)) (encode-id step-id) (lend config "step config")) value executor))

;; Engines

(defmethod print-method Engine [engine ^java.io.Writer out]
  (.write out (str engine)))

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

(defn- named-functions
  "Options in which a symbol stands for each function, so that the engine tells what is wrong with its key."
  [options]
  (update-vals options (fn [v] (if (or (fn? v) (var? v)) 'a-function v))))

(defn open
  "Opens an engine on the database at `place`, or on the control plane at that address. `options` are those of
  errand.core/open."
  ^Engine [place options]
  (usable!)
  (Native/log (Events. nil))
  (when-not (map? options)
    (throw (invalid (str "options are " (shown options) "; allowed: a map"))))
  (let [place (if (url? place) place (absolute place))
        on-event (:on-event options)
        _ (when-not (or (nil? on-event) (ifn? on-event))
            (throw (invalid (str ":on-event is " (shown on-event) "; allowed: a function of one map") [:on-event])))
        args (encode (assoc (named-functions (dissoc options :on-event)) :path (str place)) "options")]
    (try
      ;; Only a database is a file that another copy of the library may hold.
      (Engine/open args (when (instance? Path place) place) on-event value)
      (catch OpenFiles$HeldElsewhere e
        (throw (error :refused "conflict" (ex-message e))))
      (catch IOException e
        (throw (error :unavailable "unavailable" (str "database \"" place "\" cannot be looked at: " e)))))))

;; Servers

(defmethod print-method Server [server ^java.io.Writer out]
  (.write out (str server)))

(defn serve
  "Serves an engine over HTTP. `options` are those of errand.core/serve!."
  ^Server [engine options]
  (usable!)
  (Server/serve (engine! engine) (encode options "options") value))
