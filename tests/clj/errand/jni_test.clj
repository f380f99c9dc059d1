(ns errand.jni-test
  "The boundary under -Xcheck:jni, in a JVM of its own: what is done there is in `errand.jni-check`."
  (:require [clojure.string :as str]
            [clojure.test :refer [deftest is]]
            [errand.fixtures :as fixtures]
            [errand.jni-check :as jni-check]))

(set! *warn-on-reflection* true)

(deftest every-call-of-jni-is-right-whatever-is-done-to-the-boundary
  (let [printed (fixtures/output (fixtures/clojure-process "(require 'errand.jni-check) (errand.jni-check/-main)"
                                                           {"ERRAND_PANIC" (jni-check/panics)}
                                                           "-Xcheck:jni" "-Xmx256m"))]
    (is (= ["panics" "closed" "closing" "threads" "loaders" "memory"] (map second (re-seq #"(?m)^passed (\w+) " printed)))
        printed)
    (is (not (re-find #"(?i)warning|fatal|hs_err|exception in native" (str/replace printed #"(?m)^(INFO|SEVERE|ERROR).*$" "")))
        printed)))
