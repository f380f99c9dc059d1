(ns errand.deps-edn-test
  "deps.edn as the Clojure CLI reads it, by way of tools.deps, which is what that CLI runs."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [clojure.tools.deps :as deps])
  (:import (java.io File)
           (java.nio.file Files)
           (java.nio.file.attribute FileAttribute)))

(set! *warn-on-reflection* true)

(def ^:private here (.getCanonicalPath (io/file ".")))

(defn- basis [& aliases]
  (deps/create-basis {:user nil :aliases aliases}))

(defn- source? [roots name]
  (let [path (-> (str name) (str/replace "-" "_") (str/replace "." "/") (str ".clj"))]
    (some #(.exists (io/file % path)) roots)))

(defn- temporary-folder ^File []
  (.toFile (Files/createTempDirectory "errand-deps" (make-array FileAttribute 0))))

(deftest every-alias-resolves-to-folders-and-jars-that-exist
  (doseq [alias [nil :dev :test :build :demo]
          root (:classpath-roots (if alias (basis alias) (basis)))]
    (testing [alias root]
      (is (.exists (io/file root))))))

(deftest users-get-only-our-own-folders-and-clojure
  (let [{:keys [libs classpath-roots]} (basis)]
    (is (= ["clj" "target/classes"] (take 2 classpath-roots)))
    (is (= '#{org.clojure/clojure org.clojure/spec.alpha org.clojure/core.specs.alpha} (set (keys libs))))))

(deftest the-main-namespace-of-an-alias-is-on-its-class-path
  (doseq [alias [:test :demo]
          :let [{:keys [argmap classpath-roots]} (basis alias)
                [flag main] (:main-opts argmap)]]
    (testing alias
      (is (= "-m" flag))
      (is (source? classpath-roots main)))))

(defn- project-that-uses
  "The libraries of a project whose only dependency is the checkout in `folder`."
  [^File folder]
  (let [project {:deps {'errand/errand {:local/root (.getPath folder)}} :mvn/repos (:mvn/repos (deps/root-deps))}]
    (deps/resolve-deps project nil)))

(deftest a-dependency-on-a-fresh-checkout-is-refused-until-it-is-prepared
  (let [checkout (temporary-folder)]
    (io/copy (io/file "deps.edn") (io/file checkout "deps.edn"))
    (let [libs (project-that-uses checkout)]
      (is (contains? libs 'errand/errand))
      (is (thrown-with-msg? Exception #"must be prepared before use: \[errand/errand\]"
                            (deps/prep-libs! libs {:action :error} (deps/root-deps))))
      (.mkdirs (io/file checkout "target/classes"))
      (is (nil? (deps/prep-libs! libs {:action :error} (deps/root-deps)))))))

(deftest preparing-builds-with-make-alone
  (let [libs (project-that-uses (io/file here))
        class-file (io/file "target/classes/errand/impl/Native.class")]
    (is (nil? (deps/prep-libs! libs {:action :force} (deps/root-deps))))
    (is (.exists class-file))
    (is (some #(re-find #"^liberrand\.(so|dylib)$" (.getName ^File %))
              (file-seq (io/file "target/classes/errand/native"))))))
