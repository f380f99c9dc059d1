(ns errand.codec-test
  "The Java half of the binary form: what EDN has survives, what it has not is refused with its place and a hint.
  That both halves agree is seen from `tests/golden/binary.txt`, which the Rust tests read too."
  (:require [clojure.edn :as edn]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [clojure.test.check.clojure-test :refer [defspec]]
            [clojure.test.check.generators :as gen]
            [clojure.test.check.properties :as prop])
  (:import (errand.impl Codec CodecException)
           (java.util HexFormat)))

(set! *warn-on-reflection* true)

(defn- encode ^bytes [value] (Codec/encode value))
(defn- round-trip [value] (Codec/decode (encode value) 0))
(defn- hex [^bytes bytes] (.formatHex (HexFormat/of) bytes))
(defn- read-text [text] (edn/read-string {:default tagged-literal} text))

(defn- same?
  "Equal, of the same class, and so are the parts; NaN is NaN."
  [a b]
  (cond
    (and (double? a) (double? b)) (= (Double/doubleToLongBits a) (Double/doubleToLongBits b))
    (map? a) (and (map? b) (= (count a) (count b))
                  (every? (fn [[k v]] (if-let [e (find b k)] (and (same? k (key e)) (same? v (val e)))
                                       (str/includes? (pr-str k) "##NaN")))
                          a))
    (set? a) (and (set? b) (= (count a) (count b)))
    (vector? a) (and (vector? b) (= (count a) (count b)) (every? true? (map same? a b)))
    (seq? a) (and (seq? b) (= (count a) (count b)) (every? true? (map same? a b)))
    (tagged-literal? a) (and (tagged-literal? b) (= (:tag a) (:tag b)) (same? (:form a) (:form b)))
    :else (and (= a b) (= (class a) (class b)))))

(defn- refusal
  ([value] (refusal value {}))
  ([value limits]
   (try (Codec/encode value limits) nil
        (catch CodecException e
          {:kind (.-kind e) :path (.-path e) :value (.-value e) :hint (.-hint e) :message (ex-message e)}))))

(deftest both-halves-write-the-golden-bytes
  (doseq [line (str/split-lines (slurp "tests/golden/binary.txt"))
          :when (not (str/starts-with? line ";"))
          :let [[bytes text] (str/split line #" " 2)]]
    (testing text
      (is (= bytes (hex (encode (read-text text)))))
      (is (same? (read-text text) (Codec/decode (.parseHex (HexFormat/of) bytes) 0))))))

(def ^:private readable-name
  (gen/such-that #(not (#{"nil" "true" "false"} %))
                 (gen/fmap (fn [[c cs]] (apply str c cs))
                           (gen/tuple (gen/elements "abcXYZ*!_?<>=é世")
                                      (gen/vector (gen/elements "abz019*!_?-+.#'%&é世") 0 12)))))

(defn- named [make]
  (gen/one-of [(gen/fmap make readable-name)
               (gen/fmap (fn [[ns name]] (make ns name)) (gen/tuple readable-name readable-name))]))

(def ^:private text
  (gen/fmap #(apply str (map char (remove (fn [c] (<= 0xd800 c 0xdfff)) %))) (gen/vector (gen/choose 0 0xffff) 0 60)))

(def ^:private scalars
  (gen/one-of
   [(gen/such-that #(not (and (symbol? %) (#{"nil" "true" "false"} (name %)))) gen/simple-type-printable)
    gen/large-integer gen/size-bounded-bigint gen/ratio gen/double text gen/uuid gen/boolean
    (gen/fmap bigint gen/size-bounded-bigint)
    (gen/fmap (fn [[n scale]] (BigDecimal. (biginteger n) (int scale)))
              (gen/tuple gen/size-bounded-bigint (gen/choose -400 400)))
    (gen/fmap char (gen/such-that #(not (<= 0xd800 % 0xdfff)) (gen/choose 0 0xffff)))
    (gen/fmap #(java.util.Date. (long %)) (gen/choose -62000000000000 253000000000000))
    (named keyword) (named symbol)
    (gen/elements [:job-id :payload :metadata :config ##Inf ##-Inf ##NaN Long/MAX_VALUE Long/MIN_VALUE "😀" nil])]))

(def ^:private values
  (gen/recursive-gen
   (fn [inner]
     (gen/one-of [(gen/fmap #(apply list %) (gen/vector inner 0 5)) (gen/vector inner 0 5) (gen/vector scalars 14 40)
                  (gen/fmap set (gen/vector inner 0 5))
                  (gen/fmap #(into {} %) (gen/vector (gen/tuple inner inner) 0 5))
                  (gen/fmap #(into {} %) (gen/vector (gen/tuple (named keyword) scalars) 0 40))
                  (gen/fmap (fn [[tag form]] (tagged-literal (symbol (str "t" tag)) form)) (gen/tuple readable-name inner))]))
   scalars))

(defspec every-value-that-edn-has-survives {:num-tests 1000 :max-size 60}
  (prop/for-all [value values] (same? value (round-trip value))))

(defspec printing-limits-change-nothing {:num-tests 100 :max-size 60}
  (prop/for-all [value values]
    (= (hex (encode value)) (binding [*print-length* 1 *print-level* 1] (hex (encode value))))))

(defrecord Point [x y])

(deftest what-widens-or-changes-its-kind
  (doseq [[from to] [[(int 5) 5] [(short 5) 5] [(byte 5) 5] [(float 1.5) 1.5] [(biginteger 7) 7N]
                     [(range 3) '(0 1 2)] [(map inc [1 2]) '(2 3)] [(eduction (map inc) [1]) '(2)]
                     [(doto (java.util.HashMap.) (.put "a" 1)) {"a" 1}] [(java.util.ArrayList. [1 2]) [1 2]]
                     [(java.util.HashSet. [1]) #{1}] [(first {:a 1}) [:a 1]] [(with-meta [1] {:m 1}) [1]]
                     [(into clojure.lang.PersistentQueue/EMPTY [1 2]) '(1 2)] [(sorted-map :b 1 :a 2) {:a 2 :b 1}]]]
    (is (same? to (round-trip from)) (pr-str from)))
  (is (nil? (meta (round-trip (with-meta {:a 1} {:m 1})))))
  (is (false? (round-trip (Boolean. false)))))

(deftest what-edn-has-not-is-refused-with-its-place-and-a-hint
  (doseq [[value hint] [[inc "use data"] [#"a+" "use its text"] [(atom 1) "use what it holds"] [(->Point 1 2) "use a map"]
                        [(java.time.Instant/now) "use #inst"] [(java.time.Duration/ofSeconds 1) "use milliseconds"]
                        [(int-array 3) "use a vector"] [(byte-array 3) "use text"] [(Object.) "use a map"] [#'inc "use data"]
                        [(keyword "has space") "use a string"] [(keyword "") "use a string"] [(symbol "1a") "use a string"]
                        [(symbol "nil") "use a string"] [(keyword "a/b" "c") "use a string"] [(symbol ":a") "use a string"]
                        [(str "a" (char 0xd800)) "use text"] [(char 0xdc00) "use a string"] [(keyword (str (char 0xd800))) "use text"]
                        [(transient []) "use (persistent! x)"] [(ex-info "no" {}) "use (Throwable"] [String "use its text"]
                        [(java.util.Date. Long/MAX_VALUE) "use milliseconds"] [(tagged-literal 'inst "x") "use a java.util.Date"]
                        [(java.util.concurrent.atomic.AtomicLong. 1) "use a plain number"] [(delay (throw (Error.))) "use what it holds"]]]
    (let [{:keys [kind path message] hinted :hint} (refusal {:payload {:a [1 '(2) value]}})]
      (is (= "invalid" kind) (pr-str hint))
      (is (= [:payload :a 2] path) message)
      (is (and hinted (str/starts-with? hinted hint)) message)
      (is (str/ends-with? message hinted)))))

(deftest a-refused-key-has-the-path-of-its-map
  (is (= [:payload 1] (:path (refusal {:payload [0 {inc 1}]}))))
  (is (= [:a] (:path (refusal {:a #{inc}})))))

(deftest a-hundred-levels-are-taken-and-no-more
  (let [nested (fn [n] (nth (iterate vector 1) n))]
    (is (= (nested 100) (round-trip (nested 100))))
    (is (= "nesting is deeper than 100 levels" (:message (refusal (nested 101)))))
    (is (= "nesting is deeper than 100 levels" (:message (refusal (nested 100000)))))
    (is (nil? (refusal {:jobs [{:payload (nested 100)}]} {"payload" 10000})))
    (is (= "nesting is deeper than 100 levels" (:message (refusal {:payload (nested 101)} {"payload" 10000}))))))

(deftest what-is-too-large-or-endless-is-refused-early
  (is (nil? (refusal {:payload "12345678"} {"payload" 10})))
  (is (= {:kind "too-large" :path [:payload] :value nil :hint "or it does not end"
          :message ":payload is over 10 bytes of EDN text, or it does not end"}
         (refusal {:payload "123456789"} {"payload" 10})))
  (is (= [:jobs 1 :payload] (:path (refusal {:jobs [{:payload 1} {:payload (range)}]} {"payload" 1000}))))
  (is (= ["payload"] (:path (refusal {"payload" (repeat 1)} {"payload" 1000}))))
  (testing "names inside a value of the caller's own do not count"
    (is (nil? (refusal {:payload {:metadata "123456789"}} {"payload" 100 "metadata" 5}))))
  (is (= "too-large" (:kind (refusal (range)))))
  (is (= "too-large" (:kind (refusal (.repeat "x" (* 145 1024 1024)))))))

(deftest a-sequence-that-throws-throws-its-own
  (is (thrown-with-msg? IllegalStateException #"mine" (encode (map (fn [_] (throw (IllegalStateException. "mine"))) [1])))))

(deftest broken-bytes-are-an-exception
  (doseq [bytes [[] [2 0] [1] [1 9 5 65] [1 0 0] [1 0x0d 127 0 0 0] [1 0x3] [1 0x14] [1 0x0c -1 -1 -1 -1] [1 0x13 -1]]]
    (is (thrown? CodecException (Codec/decode (byte-array bytes) 0)) (pr-str bytes))))

(deftest maps-keep-their-order-where-keys-are-keywords
  (let [value (apply array-map (mapcat (fn [i] [(keyword (str "k" i)) i]) (range 30)))]
    (is (= (keys value) (keys (round-trip value))))
    (is (= value (round-trip value)))))
