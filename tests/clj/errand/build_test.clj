(ns errand.build-test
  "What the Makefile promises to programs that use its products."
  (:require [clojure.java.io :as io]
            [clojure.java.shell :refer [sh]]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]])
  (:import (java.io File)
           (java.nio.file Files LinkOption)
           (java.nio.file.attribute FileAttribute)))

(set! *warn-on-reflection* true)

(defn- make [& targets]
  (let [{:keys [exit out err]} (apply sh "make" "-s" targets)]
    (is (zero? exit) err)
    out))

(defn- products
  "Every file that is on the class path, with its inode and time: a file that was replaced differs."
  []
  (into {}
        (for [^File file (file-seq (io/file "target/classes"))
              :when (.isFile file)]
          [(str file) (into {} (Files/readAttributes (.toPath file) "unix:ino,lastModifiedTime"
                                                     ^"[Ljava.nio.file.LinkOption;" (make-array LinkOption 0)))])))

(deftest the-printed-class-path-runs-a-program-in-any-folder
  (let [printed (make "classpath")
        class-path (str/trim-newline printed)
        elsewhere (.toFile (Files/createTempDirectory "errand-build" (make-array FileAttribute 0)))
        java (str (io/file (System/getProperty "java.home") "bin" "java"))]
    (is (= 1 (count (str/split-lines printed))))
    (doseq [entry (str/split class-path (re-pattern File/pathSeparator))]
      (testing entry
        (is (.isAbsolute (io/file entry)))
        (is (.exists (io/file entry)))))
    (let [program "(require '[errand.flow :as flow]) (print (fn? flow/step))"
          {:keys [out err]} (sh java "-cp" class-path "clojure.main" "-e" program :dir elsewhere)]
      (is (= ["true" ""] [out err])))
    (testing "and requiring the namespace leaves nothing behind"
      (is (empty? (.list elsewhere))))))

(deftest a-build-without-changes-replaces-no-file
  (let [before (do (make "build") (products))]
    (make "build")
    (is (seq before))
    (is (= before (products)))))
