(ns errand.impl.stream
  "The bytes of a file as an InputStream that fetches them a part at a time. It does not know where they are.

  Private: nothing here is promised to callers."
  (:require [errand.impl.native :as native])
  (:import [java.io InputStream]
           [java.util Base64]))

(set! *warn-on-reflection* true)

(def ^:private part-bytes
  "Bytes of a file that cross at once." (* 512 1024))

(defn of-file
  "The bytes of a file, fetched a part at a time."
  ^InputStream [engine uri]
  (let [part (volatile! (byte-array 0))
        at (volatile! 0)
        next-offset (volatile! 0)
        fill! (fn []
                (let [reply (native/call engine "resources.read"
                                         {:uri uri :view "base64" :offset @next-offset :limit part-bytes})]
                  (vreset! part (.decode (Base64/getDecoder) ^String (:content reply)))
                  (vreset! at 0)
                  (vreset! next-offset (:next-offset reply))))
        left (fn []
               (when (= (long @at) (alength ^bytes @part))
                 (fill!))
               (- (alength ^bytes @part) (long @at)))
        take! (fn [^bytes into off len]
                (let [n (min (long len) (long (left)))]
                  (System/arraycopy @part (int @at) into (int off) (int n))
                  (vreset! at (+ (long @at) n))
                  n))]
    (proxy [InputStream] []
      (read
        ([] (let [one (byte-array 1)]
              (if (zero? (long (take! one 0 1)))
                -1
                (bit-and 0xff (long (aget one 0))))))
        ([into] (let [^InputStream this this
                      ^bytes into into]
                  (.read this into 0 (alength into))))
        ([into off len]
         (if (zero? (long len))
           0
           (let [n (long (take! into off len))]
             (if (zero? n) -1 (int n)))))))))
