(ns errand.boundary-test
  "What the boundary between Java and the engine promises: values, waits, engines, class loaders."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [clojure.test.check :as check]
            [clojure.test.check.generators :as gen]
            [clojure.test.check.properties :as prop]
            [errand.core :as errand]
            [errand.fixtures :as fixtures :refer [clojure-process code ended? in-new-loader output thrown with-engine within]]
            [errand.flow :as flow]
            [errand.worker :as worker])
  (:import [java.io File]
           [java.nio.file Files]
           [java.nio.file.attribute FileAttribute]
           [java.util.concurrent CompletableFuture TimeUnit]))

(set! *warn-on-reflection* true)

;; Values

(def ^:private gen-text
  "Strings with every kind of code point."
  (gen/fmap (fn [points] (str/join (map #(String. (Character/toChars %)) points)))
            (gen/vector (gen/one-of [(gen/choose 0 127)
                                     (gen/choose 128 0xd7ff)
                                     (gen/choose 0xe000 0xffff)
                                     (gen/choose 0x10000 0x10ffff)])
                        0 12)))

(def ^:private gen-big
  (gen/fmap (fn [[n power sign]] (* sign (+ (bigint n) (.pow (biginteger 7) (int power)))))
            (gen/tuple gen/large-integer (gen/choose 23 200) (gen/elements [1 -1]))))

(def ^:private gen-number
  (gen/one-of [gen/large-integer
               (gen/elements [0 -1 Long/MAX_VALUE Long/MIN_VALUE])
               (gen/fmap bigint gen/large-integer)
               (gen/fmap bigint gen-big)
               gen/double
               (gen/elements [0.0 -0.0 Double/MAX_VALUE Double/MIN_VALUE 1e22 1e-7])
               (gen/fmap (fn [[unscaled scale]] (BigDecimal. (biginteger unscaled) (int scale)))
                         (gen/tuple gen/large-integer (gen/choose -400 400)))]))

(def ^:private gen-ratio
  (gen/such-that ratio? (gen/fmap (fn [[a b]] (/ a (inc b))) (gen/tuple gen/large-integer gen/nat)) 1000))

(def ^:private gen-scalar
  (gen/one-of [(gen/return nil)
               gen/boolean
               (gen/fmap char (gen/one-of [(gen/choose 0 0xd7ff) (gen/choose 0xe000 0xffff)]))
               gen-text
               gen/keyword
               gen/keyword-ns
               gen/symbol
               gen/symbol-ns
               gen/uuid
               gen-ratio
               (gen/fmap #(java.util.Date. (long %)) (gen/choose -62135596800000 253402300799999))]))

(defn- printed [value]
  (binding [*print-length* nil *print-level* nil]
    (pr-str value)))

(defn- json-key
  "What a key is as a key of JSON."
  [key]
  (cond
    (keyword? key) (subs (str key) 1)
    (or (symbol? key) (string? key) (char? key)) (str key)
    :else (printed key)))

(defn- fit-for-a-key?
  "Whether a value that is read again is found in a set: nothing in it is NaN."
  [value]
  (not (re-find #"##NaN" (printed value))))

(defn- without-collisions [entries]
  (into {} (vals (into {} (map (juxt (comp json-key first) identity)) entries))))

(def ^:private gen-value
  (gen/recursive-gen
   (fn [inner]
     (gen/one-of [(gen/vector inner 0 6)
                  (gen/fmap #(apply list %) (gen/vector inner 0 6))
                  (gen/fmap set (gen/vector (gen/such-that fit-for-a-key? inner 100) 0 6))
                  (gen/fmap without-collisions (gen/vector (gen/tuple (gen/such-that fit-for-a-key? inner 100) inner) 0 6))
                  (gen/fmap (fn [[tag value]] (tagged-literal tag value))
                            (gen/tuple (gen/elements '[my/tag a.b/c-d]) inner))]))
   (gen/one-of [gen-scalar (gen/such-that some? gen-number)])))

(defn- same?
  "Equal, of the same type, down to the sign of zero and the scale of a decimal."
  [a b]
  (cond
    (instance? Double a) (and (instance? Double b) (= (Double/doubleToLongBits a) (Double/doubleToLongBits b)))
    (number? a) (and (= (class a) (class b)) (.equals ^Object a b))
    (map? a) (and (map? b)
                  (= (count a) (count b))
                  (every? (fn [[k v]] (when-let [entry (find b k)] (same? v (val entry)))) a))
    (set? a) (and (set? b) (= a b))
    (vector? a) (and (vector? b) (= (count a) (count b)) (every? true? (map same? a b)))
    (sequential? a) (and (seq? b) (= (count a) (count b)) (every? true? (map same? a b)))
    (tagged-literal? a) (and (tagged-literal? b) (= (:tag a) (:tag b)) (same? (:form a) (:form b)))
    :else (and (= (class a) (class b)) (= a b))))

(deftest ten-thousand-values-come-back-as-they-were
  (with-engine [_]
    (binding [*print-length* 1 *print-level* 1]
      (let [result (check/quick-check
                    100
                    (prop/for-all [values (gen/vector gen-value 100)]
                      (let [batch (flow/step :job :s {:op :submit-batch :job-type "t"
                                                      :jobs (mapv (fn [v] {:payload v}) values)})
                            jobs (:jobs (flow/step :job :g {:op :get-batch :batch-id (:batch-id batch)
                                                            :include-jobs? true}))]
                        (every? true? (map same? values (map :payload jobs)))))
                    :max-size 60)]
        (is (:pass? result)
            (printed [(:seed result) (:smallest (:shrunk result))]))))))

(deftest a-value-comes-back-from-every-place-that-holds-one
  (with-engine [_]
    (let [value {:a [1 2N 1/3 -0.0 1.50M \x "é" 'a/b :c/d '(1) #{1} #inst "2026-01-01T00:00:00.123-00:00"
                     #uuid "00000000-0000-0000-0000-000000000001" ##Inf ##NaN (tagged-literal 'my/tag {:x 1})]
                 "text key" nil, 7 {}, [1] true}
          {:keys [job-id]} (errand/submit {:job-type "t" :payload value :metadata value})
          job (errand/claim! {:job-type "t" :worker-id "me"})]
      (errand/progress! job {:details value :metrics value})
      (is (same? value (:details (:progress (errand/job job-id)))))
      (errand/complete! job {:outputs value :metrics value :worker-info value})
      (let [job (errand/job job-id)]
        (doseq [place [[:payload] [:metadata] [:result :outputs] [:result :metrics] [:result :worker-info]]]
          (is (same? value (get-in job place)) (pr-str place)))))))

(deftest what-widens-widens
  (with-engine [_]
    (let [back #(:payload (errand/submit {:job-type "t" :payload %}))]
      (is (same? [1 2 3 1.5] (back [(int 1) (short 2) (byte 3) (float 1.5)])))
      (is (same? '(2 3) (back (map inc [1 2]))))
      (is (same? [{"a" [1]} #{2}] (back [(doto (java.util.HashMap.) (.put "a" (doto (java.util.ArrayList.) (.add 1))))
                                               (doto (java.util.HashSet.) (.add 2))]))))))

;; `BigDecimal` holds more than it reads: such a job could be stored, and never be read again.
(deftest a-decimal-that-java-does-not-read-as-it-writes-it-is-refused
  (with-engine [_]
    (let [submit #(errand/submit {:job-type "t" :payload {:n (BigDecimal. ^String %)}})
          failure (thrown (submit "12E2147483647"))]
      (is (same? {:n 12E2147483646M} (:payload (submit "12E2147483646"))))
      (is (same? {:n 1E-2147483647M} (:payload (submit "1E-2147483647"))))
      (is (= :invalid-argument (code failure)))
      (is (str/includes? (ex-message failure) "decimal \"1.2E+2147483648M\" cannot be read again as it is written: its exponent is out of range")))))

;; Waits

(deftest cancelling-a-future-frees-its-thread-and-leaves-the-job-alone
  (with-engine [_]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})
          thread (promise)
          failure (promise)
          waiting (future
                    (deliver thread (Thread/currentThread))
                    (try (flow/step :job :w {:op :await :job-id job-id :timeout "1h"})
                         (catch Throwable t (deliver failure t))))]
      (within thread)
      (future-cancel waiting)
      (is (instance? InterruptedException (within failure)))
      (is (= "queued" (:status (errand/job job-id)))))))

(deftest an-interrupted-thread-ends-its-wait
  (with-engine [engine]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})
          failures (atom [])
          threads (doall (for [_ (range 20)]
                           (doto (Thread. (fn []
                                            (try (errand/await-job engine job-id {:timeout "1h"})
                                                 (catch Throwable t (swap! failures conj t)))))
                             (.start))))]
      (run! #(.interrupt ^Thread %) threads)
      (is (every? ended? threads))
      (is (= 20 (count (filter #(instance? InterruptedException %) @failures))))
      (is (= "queued" (:status (errand/job job-id)))))))

(deftest five-hundred-threads-and-ten-thousand-futures-await-at-once
  (with-engine [engine]
    (let [ids (mapv :job-id (:jobs (errand/submit-batch {:job-type "t" :jobs (repeat 100 {})})))
          results (atom [])
          threads (doall (for [n (range 500)]
                           (doto (Thread. (fn []
                                            (let [job (errand/await-job engine (ids (mod n 100)) {:interval "1h"})]
                                              (swap! results conj (:status job)))))
                             (.start))))
          futures (doall (for [n (range 10000)]
                           (errand/await-async (ids (mod n 100)) {:interval "1h"})))
          worker (worker/start! (fn [_]) {:job-type "t" :concurrency 4})
          all (CompletableFuture/allOf (into-array CompletableFuture futures))]
      (.get all 60 TimeUnit/SECONDS)
      (is (every? ended? threads))
      (is (= {"succeeded" 500} (frequencies @results)))
      (is (= {"succeeded" 10000} (frequencies (map #(:status (.get ^CompletableFuture %)) futures))))
      (worker/stop! worker))))

(defn- virtual-thread
  "Starts `f` on a virtual thread; nil on a JDK that has none."
  ^Thread [^Runnable f]
  (when-let [start (first (filter #(= "startVirtualThread" (.getName ^java.lang.reflect.Method %))
                                  (.getMethods Thread)))]
    (try (.invoke ^java.lang.reflect.Method start nil (object-array [f]))
         (catch java.lang.reflect.InvocationTargetException e
           ;; JDK 19 and 20 have them as a preview only.
           (when-not (instance? UnsupportedOperationException (ex-cause e))
             (throw e))))))

(deftest virtual-threads-await-where-there-are-any
  (when (virtual-thread (fn []))
    (with-engine [engine]
      (let [{:keys [job-id]} (errand/submit {:job-type "t"})
            results (atom [])
            threads (doall (repeatedly 2000 #(virtual-thread
                                              (fn [] (swap! results conj (:status (errand/await-job engine job-id)))))))]
        (errand/cancel! job-id)
        (is (every? ended? threads))
        (is (= {"cancelled" 2000} (frequencies @results)))))))

(deftest an-executor-that-takes-nothing-more-fails-the-future
  (with-engine [_]
    (let [executor (doto (java.util.concurrent.Executors/newSingleThreadExecutor) (.shutdown))
          {:keys [job-id]} (errand/submit {:job-type "t"})
          waiting (errand/await-async job-id {:executor executor})]
      (errand/cancel! job-id)
      (is (instance? java.util.concurrent.RejectedExecutionException (ex-cause (thrown (within waiting))))))))

(deftest a-cancelled-future-ends-its-wait
  (with-engine [_]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})
          waiting ^CompletableFuture (errand/await-async job-id {:timeout "1h"})]
      (is (true? (.cancel waiting true)))
      (is (instance? java.util.concurrent.CancellationException (thrown (within waiting))))
      (is (= "queued" (:status (errand/job job-id)))))))

;; Bytes

(deftest bytes-that-are-no-message-are-errors-and-the-jvm-lives
  (with-engine [engine]
    (let [random (java.util.Random. 7)
          handle (.handle ^errand.impl.Engine engine)
          job ^bytes (errand.impl.Codec/encode {:job-type "t" :payload {:a [1 2 {:b "c"}]}} {"payload" 1000})
          answer (fn [^errand.impl.Pending pending] (aget ^bytes (errand.impl.Native/await pending) 0))
          broken (fn []
                   (let [bytes (aclone job)]
                     (dotimes [_ (inc (.nextInt random 4))]
                       (aset-byte bytes (.nextInt random (alength bytes)) (unchecked-byte (.nextInt random 256))))
                     (java.util.Arrays/copyOf bytes (.nextInt random (inc (alength bytes))))))]
      (dotimes [_ 3000]
        (is (contains? #{0 1} (answer (errand.impl.Native/call handle (.nextInt random 20) (broken)))))
        (is (contains? #{0 1} (answer (errand.impl.Native/step handle (broken) (broken))))))
      (is (= 1 (answer (errand.impl.Native/call handle 7777 job))))
      (is (= 1 (answer (errand.impl.Native/call handle -1 job))))
      (is (= 1 (answer (errand.impl.Native/call (inc handle) 0 job))))
      (is (instance? RuntimeException (thrown (errand.impl.Native/call handle 0 nil))))
      (is (= "queued" (:status (errand/submit {:job-type "t"})))))))

;; Engines

(deftest two-engines-on-one-file-see-each-other
  (with-engine [engine]
    (let [place (.place ^errand.impl.Engine engine)
          link (File. (.getParentFile (File. place)) "link.db")]
      (Files/createSymbolicLink (.toPath link) (.toPath (File. place)) (make-array FileAttribute 0))
      (with-open [other (errand/open link {:sync "normal"})]
        (let [{:keys [job-id]} (errand/submit {:job-type "t"})
              waiting (errand/await-async job-id {:interval "1h"})]
          (errand/cancel! other job-id)
          (is (= "cancelled" (:status (within waiting))))
          (errand/close engine)
          (is (= "cancelled" (:status (errand/job other job-id)))))))))

(deftest background-events-reach-the-function-that-was-given
  (let [told (promise)]
    (with-engine [_ {:sync "normal" :on-event (fn [event] (deliver told [event (.getName (Thread/currentThread))]))}]
      (errand/submit {:job-type "t"})
      (errand/claim! {:job-type "t" :worker-id "me" :lease-duration "1s"})
      (let [[event thread] (within told)]
        (is (= "leases-expired" (:event event)))
        (is (string? (:message event)))
        (is (= "errand-log" thread))))))

(deftest every-namespace-can-be-loaded-again
  (with-engine [engine]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})
          worker (worker/start! (fn [_] {:summary "old"}) {:job-type "reloaded"})]
      (require 'errand.impl.native 'errand.impl.run 'errand.core 'errand.flow 'errand.worker :reload)
      (is (identical? engine errand/*engine*))
      (is (= job-id (:job-id (errand/job job-id))))
      (is (= job-id (:job-id (flow/step :job :g {:op :get :job-id job-id}))))
      (is (= "old" (:summary (:result (errand/await-job (:job-id (errand/submit {:job-type "reloaded"})))))))
      (worker/stop! worker))))

(deftest names-of-files-that-are-registered-are-taken-back
  (let [open-files (fn [] (count (filter #(str/starts-with? (str %) "errand.open.") (keys (System/getProperties)))))
        before (open-files)]
    (with-engine [engine]
      (is (< before (open-files)))
      (with-open [_ (errand/open (.place ^errand.impl.Engine engine) {:sync "normal"})])
      (is (< before (open-files))))
    (is (= before (open-files)))
    (testing "by an open that was interrupted, too"
      (let [folder (fixtures/folder)]
        (.interrupt (Thread/currentThread))
        (is (instance? InterruptedException (thrown (errand/open (File. folder "jobs.db")))))
        (is (fixtures/await-true #(= before (open-files))))
        (fixtures/delete! folder)))))

;; Class loaders and processes

(deftest a-second-class-loader-gets-a-clear-error
  (errand/describe)
  (is (re-find #"in use by another class loader"
               (in-new-loader "(require 'errand.core) (try (errand.core/describe) (catch Exception e (ex-message e)))"))))

(deftest another-copy-of-the-library-may-not-open-the-same-file
  (with-engine [engine]
    (let [place (.place ^errand.impl.Engine engine)
          folder (.getParentFile (File. place))
          copy (File. folder "copy.so")
          native-library (->> (file-seq (File. (System/getProperty "user.dir") "target/classes/errand/native"))
                              (filter #(str/starts-with? (.getName ^File %) "liberrand."))
                              first)]
      (io/copy (io/file native-library) copy)
      (System/setProperty "errand.native.path" (str copy))
      (try
        (let [printed (in-new-loader
                       (str "(require 'errand.core)
                             (let [tried (fn [path] (try (.close (errand.core/open path)) :opened
                                                         (catch Exception e (ex-message e))))]
                               [(tried " (pr-str place) ") (tried " (pr-str (str (File. folder "other.db"))) ")])"))]
          (is (re-find #"open through another copy" printed))
          (is (re-find #":opened" printed)))
        (finally
          (System/clearProperty "errand.native.path")))
      (is (= "queued" (:status (errand/submit {:job-type "t"})))))))

(deftest requiring-starts-nothing-and-nothing-is-written-to-standard-error
  (let [printed (output (clojure-process
                         "(require 'errand.flow 'errand.worker)
                          (prn (filter #(re-find #\"errand\" (.getName %)) (keys (Thread/getAllStackTraces)))
                               (.exists (java.io.File. \"errand.db\"))
                               (let [maps (java.nio.file.Path/of \"/proc/self/maps\" (make-array String 0))]
                                 (and (java.nio.file.Files/exists maps (make-array java.nio.file.LinkOption 0))
                                      (boolean (re-find #\"liberrand\" (java.nio.file.Files/readString maps))))))"
                         "-Derrand.db=/nowhere/errand.db"))]
    (is (= "() false false" (str/trim printed)))))

(deftest a-library-that-cannot-be-loaded-is-the-same-clear-error-each-time
  (let [printed (output (clojure-process
                         "(require 'errand.core)
                          (dotimes [_ 2]
                            (try (errand.core/describe) (catch Exception e (prn (:errand/code (ex-data e)) (ex-message e)))))"
                         "-Derrand.native.path=/nowhere/liberrand.so"))]
    (is (= 2 (count (re-seq #":unavailable \"native library cannot be loaded: native library \\\"/nowhere" printed)))
        printed)))

(defn- mode! [^File file text]
  (Files/setPosixFilePermissions (.toPath file) (java.nio.file.attribute.PosixFilePermissions/fromString text)))

(deftest old-builds-of-the-library-are-removed-from-the-cache
  (let [folder (fixtures/folder)
        cache (doto (File. folder ".cache/errand") (.mkdirs) (mode! "rwx------"))
        days-ago #(- (System/currentTimeMillis) (* % 24 60 60 1000))
        build (fn [name age]
                (let [dir (doto (File. ^File cache ^String name) (.mkdir))]
                  (spit (File. dir "liberrand.so") "old")
                  (.setLastModified dir (days-ago age))
                  name))
        hashes (mapv #(apply str (repeat 64 %)) "0123456")
        [young a b c d] (map build hashes [0 2 3 4 5])
        other (build "other" 9)]
    (try
      (output (clojure-process "(require (quote errand.core)) (errand.core/commands)" (str "-Duser.home=" folder)))
      (let [left (set (.list ^File cache))]
        (is (= #{young a other} (set (filter (set [young a b c d other]) left))))
        (is (= 4 (count left)) "and the one in use"))
      (finally
        (fixtures/delete! folder)))))

(deftest the-library-is-loaded-only-from-a-folder-that-is-ours-and-as-it-was-built
  (let [folder (fixtures/folder)
        load! #(str/trim (output (clojure-process "(require 'errand.core) (prn (count (errand.core/commands)))"
                                                  (str "-Duser.home=" folder)
                                                  (str "-Djava.io.tmpdir=" (doto (File. folder "tmp") (.mkdir))))))
        extracted (fn [where] (filter #(str/starts-with? (.getName ^File %) "liberrand.")
                                      (file-seq (File. folder ^String where))))
        commands (str (count (errand/commands)))]
    (try
      (is (= commands (load!)))
      (let [[^File library & more] (extracted ".cache/errand")]
        (is (nil? more))
        (testing "a file that was tampered with is replaced"
          (let [size (.length library)]
            (spit library "not a library")
            (is (= commands (load!)))
            (is (= size (.length library)))))
        (testing "a folder that others may write to is not used"
          (mode! (File. folder ".cache/errand") "rwxrwxrwx")
          (is (= commands (load!)))
          (is (= 1 (count (extracted "tmp"))))))
      (finally
        (fixtures/delete! folder)))))

(deftest a-jvm-that-ends-gives-its-jobs-back
  (with-engine [engine]
    (let [{:keys [job-id]} (errand/submit {:job-type "t"})
          process (clojure-process
                   "(require '[errand.worker :as worker])
                    (let [running (promise)]
                      (worker/start! (fn [_] (deliver running true) @(promise)) {:job-type \"t\"})
                      @running
                      (shutdown-agents)
                      (System/exit 0))"
                   (str "-Derrand.db=" (.place ^errand.impl.Engine engine)))]
      (is (= "" (output process)))
      (is (= 0 (.exitValue process)))
      (is (= ["queued" 1] ((juxt :status :attempt) (errand/job job-id)))))))

(deftest an-error-about-a-collection-ends-and-shows-nothing-of-it
  (doseq [f [#(errand/open "none.db" (range)) #(errand/open "none.db" [:api-key "hidden"])
             #(errand/open "http://127.0.0.1:1" #{{:api-key "hidden"}}) #(errand/open {:api-key "hidden"})
             #(worker/progress! (range)) #(flow/step (range) :s {}) #(errand/open (apply str "x" (repeat 1000000 \y)) 7)]
          :let [e (thrown (f))]]
    (is (= :invalid-argument (code e)))
    (is (not (str/includes? (str (ex-message e)) "hidden")))
    (is (< (count (ex-message e)) 400))))
