(ns errand.impl.build
  "What deps.edn means for the build: `prep` builds the native half for a project that depends on
  this one, and `-main` resolves deps.edn for a machine that has Maven but no Clojure CLI.
  It does not compile anything itself: the Makefile does."
  (:require [clojure.java.io :as io]
            [clojure.string :as str]))

(set! *warn-on-reflection* true)

(defn prep
  "Builds the native library and the Java classes of the project in the current folder with `make build`.

  This is the :deps/prep-lib function of deps.edn. Clojure is taken from the class path of this JVM, so
  Maven is not needed. Throws when make cannot be started or fails."
  [_]
  (let [jars (->> (str/split (System/getProperty "java.class.path") (re-pattern java.io.File/pathSeparator))
                  (filter #(str/ends-with? % ".jar"))
                  (map #(.getAbsolutePath (io/file %)))
                  (str/join java.io.File/pathSeparator))
        make ["make" "build" (str "CLOJURE_JARS=" jars)]
        status (.waitFor (.start (.inheritIO (ProcessBuilder. ^java.util.List make))))]
    (when-not (zero? status)
      (throw (ex-info (str "building errand failed: make ended with status " status) {:status status})))))

(defn- class-path
  "The class path of deps.edn in the current folder with `aliases`; own folders stay relative."
  [aliases]
  (let [create-basis (requiring-resolve 'clojure.tools.deps/create-basis)]
    (str/join java.io.File/pathSeparator (:classpath-roots (create-basis {:user nil :aliases aliases})))))

(defn -main
  "Writes one file per alias, and `run` for none, into `folder`: each holds a class path."
  [folder & aliases]
  (doseq [alias (cons nil aliases)
          :let [file (io/file folder (or alias "run"))
                fresh (io/file folder (str (.getName file) ".new"))]]
    (spit fresh (class-path (if alias [(keyword alias)] [])))
    (java.nio.file.Files/move (.toPath fresh) (.toPath file)
                              (into-array java.nio.file.CopyOption
                                          [java.nio.file.StandardCopyOption/ATOMIC_MOVE])))
  (shutdown-agents))
