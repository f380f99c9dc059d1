(ns errand.jni-test
  "The boundary under -Xcheck:jni, in a JVM of its own: what is done there is in `errand.jni-check`."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is]]
            [errand.fixtures :as fixtures]
            [errand.jni-check :as jni-check])
  (:import [java.io File]))

(set! *warn-on-reflection* true)

(def debugging
  "The library that the tests in Rust are built with: that for release panics for nobody."
  (io/file "target/debug/deps" (System/mapLibraryName "errand")))

(defn- right
  "Runs parts of the check in a JVM of its own; gives what it printed."
  [variables parts & options]
  (let [call (str "(require 'errand.jni-check) (errand.jni-check/-main " (str/join " " (map pr-str parts)) ")")
        printed (fixtures/output (apply fixtures/clojure-process call variables "-Xcheck:jni" "-Xmx256m" options))]
    (is (= parts (map second (re-seq #"(?m)^passed (\w+) " printed)))
        printed)
    (is (not (re-find #"(?i)warning|fatal|hs_err|exception in native" (str/replace printed #"(?m)^(INFO|SEVERE|ERROR).*$" "")))
        printed)
    printed))

(deftest every-call-of-jni-is-right-whatever-is-done-to-the-boundary
  (right {} ["closed" "closing" "threads" "loaders" "memory"]))

(deftest a-panic-at-any-entry-is-an-error-and-ends-nothing
  (is (.exists ^File debugging) "build it with: cargo test --no-run")
  (let [path (str "-Derrand.native.path=" (.getAbsolutePath ^File debugging))
        printed (right {"ERRAND_PANIC" (jni-check/panics)} ["panics"] path)
        [_ backwards] (re-find #"(?m)^token (\w+)$" printed)]
    (is (= 32 (count backwards)))
    (is (not (str/includes? printed (str/reverse backwards))) "a lease token was told")))

(deftest the-library-that-is-given-out-has-no-switch-for-panics
  (let [library (first (filter #(.endsWith (.getName ^File %) (System/mapLibraryName "errand"))
                               (file-seq (io/file "target/classes/errand/native"))))]
    (is (not (str/includes? (slurp library :encoding "ISO-8859-1") "ERRAND_PANIC")))))
