;; Reads what `fuzz` told of texts (hex of the text, hex of what we read it as or `-` and why) and reads it with
;; clojure.edn, too: both must refuse it, or both must read the same value. Ends with a summary line.

(require '[clojure.edn :as edn] '[clojure.string :as str])

(defn- text-of [hex]
  (String. (byte-array (map #(unchecked-byte (Integer/parseInt % 16)) (re-seq #".." hex))) "UTF-8"))

(defn- read-with-clojure [text]
  (try [(edn/read-string {:default tagged-literal} text)]
       (catch StackOverflowError _ :overflow)
       (catch Throwable t (str t))))

;; What we refuse and clojure.edn reads, on purpose: the README says so.
(def ours-alone #"collide|same key in JSON|nested|deep|goes on after|namespace of its map|surrogate|not a number|year|large|range|twice|duplicate|namespace|octal digit|hexadecimal digits|number \"[^\"]*[eE][^\"]*M\" is malformed")

(defn- complaint [[hex ours & why]]
  (let [theirs (read-with-clojure (str "[" (text-of hex) "\n]"))
        why (str/join " " why)]
    (cond
      (= :overflow theirs) nil
      (= "-" ours) (when (and (vector? theirs) (not (re-find ours-alone why))
                            ;; Beyond the years that an instant can be written with.
                            (not (re-find #"9999-12-31|0000-|0001-01-01" (text-of hex))))
                     (str "we refuse what clojure.edn reads: " (pr-str (text-of hex)) ": " why))
      ;; Its own trouble with tags outside of Latin-1.
      (and (string? theirs) (str/includes? theirs "ArrayIndexOutOfBounds")) nil
      (string? theirs) (str "we read what clojure.edn refuses: " (pr-str (text-of hex)) ": " theirs)
      :else (let [printed #(binding [*print-namespace-maps* false] (pr-str %))
                  again (read-with-clojure (text-of ours))]
              ;; NaN is not equal to itself; sets and maps have no order.
              (when-not (or (= theirs again) (= (printed theirs) (printed again)) (str/includes? (text-of ours) "NaN"))
                (str "we read " (pr-str (text-of hex)) " as " (text-of ours)))))))

(let [begun (System/currentTimeMillis)
      lines (map #(str/split % #" ") (str/split-lines (slurp (first *command-line-args*))))
      complaints (doall (keep complaint lines))]
  (doseq [said (take 20 complaints)]
    (binding [*out* *err*] (println "edn-oracle:" said)))
  (println (format "fuzz edn-oracle: %d cases, %d s, %d failures, corpus %d" (count lines)
                   (quot (- (System/currentTimeMillis) begun) 1000) (count complaints) (count lines))))
