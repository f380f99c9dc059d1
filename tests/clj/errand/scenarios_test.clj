(ns errand.scenarios-test
  "The scenarios of tests/scenarios through the real JNI; their form is told in tests/scenarios/mod.rs."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.string :as str]
            [clojure.test :refer [deftest is testing]]
            [errand.core :as errand]
            [errand.fixtures :refer [with-engine]]
            [errand.flow :as flow]
            [errand.impl.native :as native]))

(set! *warn-on-reflection* true)

(defn scenarios
  "Every scenario, with :file."
  []
  (for [^java.io.File file (sort (.listFiles (io/file "tests" "scenarios")))
        :when (str/ends-with? (.getName file) ".edn")
        scenario (edn/read-string {:default tagged-literal} (slurp file))]
    (assoc scenario :file (.getName file))))

(defn- variable? [x]
  (and (symbol? x) (str/starts-with? (name x) "?")))

(defn- filled
  "The value with every bound name replaced."
  [bound x]
  (cond
    (variable? x) (get bound x)
    (map? x) (update-vals x (partial filled bound))
    (vector? x) (mapv (partial filled bound) x)
    :else x))

(declare meet)

(defn- meet-entry [bound [key pattern] value path]
  (let [path (conj path key)]
    (cond
      (not= 'absent pattern) (if (contains? value key)
                               (meet bound pattern (get value key) path)
                               (reduced {:differs path :is-not-there pattern :in value}))
      (contains? value key) (reduced {:differs path :is-there (get value key)})
      :else bound)))

(defn- meet
  "Holds a value against a pattern: gives what the names are bound to, or, reduced, what does not fit."
  [bound pattern value path]
  (let [each (fn [f] (fn [bound x] (let [met (f bound x)] (if (reduced? met) (reduced met) met))))]
    (cond
      (= '_ pattern) bound
      (and (variable? pattern) (not (contains? bound pattern))) (assoc bound pattern value)
      (variable? pattern) (if (= (bound pattern) value)
                         bound
                         (reduced {:differs path :is value :not (bound pattern)}))
      (and (map? pattern) (map? value)) (reduce (each #(meet-entry %1 %2 value path)) bound pattern)
      (and (vector? pattern) (vector? value) (= (count pattern) (count value)))
      (reduce (each #(meet %1 (pattern %2) (value %2) (conj path %2))) bound (range (count pattern)))
      (= pattern value) bound
      :else (reduced {:differs path :is value :not pattern}))))

(defn- run-step
  "What comes of a step: {:gives data} or {:refuses code :says message :because data}."
  [engine {:keys [ask step]} args]
  (try
    {:gives (if ask
              (native/call engine ask args)
              (binding [errand/*engine* engine]
                (flow/step :job step args)))}
    (catch clojure.lang.ExceptionInfo e
      (let [data (ex-data e)]
        {:refuses (name (:errand/code data))
         :says (ex-message e)
         :because (into {} (for [[key value] data
                                 :when (= "errand" (namespace key))]
                             [(keyword (name key)) value]))}))))

(defn- message [bound text]
  (reduce (fn [text [name value]] (if (string? value) (str/replace text (str name) value) text))
          (str/replace text #"\{([^}]*)\}" ":$1")
          bound))

(defn- check-step
  "Gives what the names are bound to after a step, or, reduced, what is not so."
  [engine bound {:keys [with gives refuses says because] :as step}]
  (let [args (filled bound (or with {}))
        outcome (run-step engine step args)
        wrong (fn [told] (reduced (assoc told :step (dissoc step :gives) :args args)))
        met (cond
              (not= refuses (:refuses outcome)) (wrong {:outcome outcome})
              (contains? step :gives) (meet bound gives (:gives outcome) [])
              (and says (not= (message bound says) (:says outcome))) (wrong {:says (:says outcome)})
              because (meet bound because (:because outcome) [])
              :else bound)]
    (cond
      (not (reduced? met)) met
      (:step @met) met
      :else (wrong @met))))

(defn check
  "nil where the scenario is so on this engine, else what is not."
  [engine scenario]
  (let [end (reduce (fn [bound step]
                      (let [met (check-step engine bound step)]
                        (if (reduced? met) (reduced (reduced met)) met)))
                    {}
                    (:steps scenario))]
    (when (reduced? end)
      @end)))

(deftest the-real-jni-does-what-the-scenarios-say
  (is (seq (scenarios)))
  (doseq [{:keys [file scenario] :as all} (scenarios)]
    (testing (str file ": " scenario)
      (with-engine [engine]
        (is (nil? (check engine all)))))))
