# Reads one source file and prints one finding a line: kind, file, line, size, text, apart by tabs; last, its total.
# Called by review.sh with `file` set and LC_ALL=C.

BEGIN { OFS = "\t" }

function finding(kind, line, size, text) {
    print kind, file, line, size, text
}

# A function begins here; `pattern` finds its name, the last word of the match.
function begin(pattern) {
    match($0, pattern)
    name = substr($0, RSTART, RLENGTH)
    sub(/^.* /, "", name)
    begun = FNR
    match($0, /^ */)
    indent = RLENGTH
}

function end() {
    if (name != "" && last - begun >= 40) finding("long function", begun, last - begun + 1, name)
    name = ""
}

{
    shown = $0
    gsub(/[\200-\277]/, "", shown) # one byte a letter
    if (length(shown) > 120) finding("long line", FNR, length(shown), "")
}

# Marks, and comments that ask something.
/(\/\/|;|#|--).*(TO[D]O|FIX[M]E)/ || /^ *(\/\/[\/!]?|;+|#|--) .*[?]$/ {
    text = $0
    gsub(/^[ \t]+|\t/, "", text)
    finding("open question", FNR, 1, text)
}

# In Rust a function ends with the brace that stands below its first letter.
file ~ /[.]rs$/ && /^ *(pub(\([a-z]+\))? )?(const |async |unsafe )*(extern "[^"]*" )?fn / && !/;$/ {
    begin("fn [a-zA-Z0-9_]+")
}
file ~ /[.]rs$/ && /^ *}$/ && name != "" {
    match($0, /^ */)
    if (RLENGTH == indent) {
        last = FNR
        end()
    }
}

# In Clojure a function is a form that begins a line.
file ~ /[.]clj$/ && /^\(/ {
    end()
    if (/^\(defn/) begin("^.defn-? [^ ]+")
}
file ~ /[.]clj$/ && !/^ *$/ { last = FNR }

END {
    if (file ~ /[.]clj$/) end()
    if (FNR > 500) finding("long file", 1, FNR, "")
    print "total", file, FNR, 0, ""
}
