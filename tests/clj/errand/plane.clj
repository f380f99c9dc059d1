(ns errand.plane
  "Control planes for tests: `errand serve` as a process of its own, and other processes beside it."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [errand.fixtures :as fixtures]
            [errand.worker :as worker])
  (:import [java.io File]
           [java.lang ProcessBuilder$Redirect]
           [java.util.concurrent TimeUnit]))

(set! *warn-on-reflection* true)

(def program (.getAbsolutePath (io/file (System/getProperty "errand.test.program" "target/release/errand"))))

(defn start
  "Starts a process in `folder`; what it says goes to <name>.out and <name>.err there."
  ^Process [^File folder name & command]
  (-> (ProcessBuilder. ^java.util.List (mapv str command))
      (.directory folder)
      (.redirectOutput (ProcessBuilder$Redirect/to (io/file folder (str name ".out"))))
      (.redirectError (ProcessBuilder$Redirect/appendTo (io/file folder (str name ".err"))))
      (.start)))

(defn stop!
  "Asks a process to end and waits for it."
  [^Process process]
  (.destroy process)
  (.waitFor process 60 TimeUnit/SECONDS))

(defn start-jvm
  "Starts a JVM that evaluates `form` with the namespaces of Errand required; `env` are texts such as A=b."
  ^Process [folder name form & env]
  (apply start folder name
         (concat
          (cons "env" env)
          [(str (System/getProperty "java.home") "/bin/java")]
          (when-let [path (System/getProperty "errand.native.path")]
            [(str "-Derrand.native.path=" path)])
          ["-cp" (str/join File/pathSeparator
                           (map #(.getAbsolutePath (io/file ^String %))
                                (str/split (System/getProperty "java.class.path") #":")))
           "clojure.main" "-e"
           (pr-str (list 'do
                         '(require '[errand.core :as errand] '[errand.flow :as flow] '[errand.plane] '[errand.worker :as worker])
                         form))])))

(defn work
  "Handles a job of the storm as its handler script does, but for the file."
  [{{:keys [n attach] :as payload} :payload}]
  (when attach
    (worker/attach-kv! {:label "value" :value payload})
    (worker/attach-table! {:label "rows" :rows [{:n n} {:n (inc n)}]}))
  {:outputs payload})

(defn- serve! [{:keys [^File folder process address said] :as plane}]
  (reset! process (start folder "serve" program "serve" "--db" "jobs.db" "--listen" @address "--no-auth"
                         "--format" "edn" "--drain-time" "1s"))
  (let [out (io/file folder "serve.out")
        url #(second (re-find #":url \"([^\"]+)\"" (slurp out)))]
    (when-not (fixtures/await-true url)
      (throw (ex-info "the control plane does not start" {:err (slurp (io/file folder "serve.err"))})))
    (reset! said (url))
    (reset! address (str/replace @said "http://" ""))
    plane))

(defn open
  "A control plane on <folder>/jobs.db that lets everybody in."
  [folder]
  (serve! {:folder folder :process (atom nil) :address (atom "127.0.0.1:0") :said (atom nil)}))

(defn url [plane]
  @(:said plane))

(defn end!
  "Ends the control plane as a service manager does."
  [{:keys [process]}]
  (when-let [running @process]
    (reset! process nil)
    (stop! running)))

(defn again!
  "Starts the control plane again where it was."
  [plane]
  (serve! plane))

(defmacro with-plane
  "Runs the body with `name` a control plane in a folder of its own."
  [name & body]
  `(let [folder# (fixtures/folder)]
     (try
       (let [~name (open folder#)]
         (try ~@body
              (finally (end! ~name))))
       (finally (fixtures/delete! folder#)))))
