#!/bin/sh
# A job handler: reviews the folder that the payload names, {"path": "src/engine"}, and reports what a reviewer would
# look at first: long files, long functions, long lines, open questions. Only sh and awk are needed.
#
# It is written for `breyta jobs worker run`, and knows nothing else than that contract: BREYTA_… and the helpers.
set -eu

path=$(sed -n 's/.*"path"[[:space:]]*:[[:space:]]*"\([^"\\]*\)".*/\1/p' "$BREYTA_JOB_PAYLOAD_FILE" | head -n 1)
if [ ! -d "$path" ]; then
    exec breyta jobs worker fail --code no_such_folder --message "the folder \"$path\" does not exist" --detail path="$path"
fi

sources=$BREYTA_JOB_DIR/sources
find "$path" -type f \( -name '*.rs' -o -name '*.clj' -o -name '*.java' -o -name '*.sh' -o -name '*.sql' \) | sort >"$sources"
files=$(awk 'END { print NR }' "$sources")
breyta jobs worker progress --status running --message "reading $files files of $path" --metric files="$files"

# One finding a line: kind, file, line, number, text, apart by tabs; then the totals.
findings=$BREYTA_JOB_DIR/findings
while read -r file; do
    awk -v file="$file" -v OFS='\t' '
        function finding(kind, line, number, text) { print kind, file, line, number, text }
        function ended() { if (name != "" && last - begun >= 30) finding("long function", begun, last - begun + 1, name); name = "" }
        function named(pattern) { match($0, pattern); name = substr($0, RSTART, RLENGTH); sub(/[( ]+$/, "", name); sub(/^.* /, "", name) }

        length($0) > 120 { finding("long line", FNR, length($0), "") }
        /(\/\/|;|#|--).*(TO[D]O|FIX[M]E)/ || /^ *(\/\/|;+|#|--) .*[?]$/ { text = $0; gsub(/^[ \t]+/, "", text); finding("open question", FNR, 1, text) }

        # Rust: up to the closing brace with the indentation of the fn. Clojure: one top-level form.
        file ~ /[.]rs$/ && /^ *(pub(\([a-z]+\))? )?(const |async |unsafe )*(extern "[^"]*" )?fn / && !/;$/ {
            named("fn [a-zA-Z0-9_]+"); begun = FNR; match($0, /^ */); close_at = RLENGTH
        }
        file ~ /[.]rs$/ && /^ *}$/ && name != "" { match($0, /^ */); if (RLENGTH == close_at) { last = FNR; ended() } }
        file ~ /[.]clj$/ && /^\(/ { ended(); if (/^\(def/) { name = $2; begun = FNR } }
        file ~ /[.]clj$/ && !/^[ ]*$/ { last = FNR }
        END {
            if (file ~ /[.]clj$/) ended()
            if (FNR > 500) finding("long file", 1, FNR, "")
            print "total", file, FNR, 0, ""
        }' "$file"
done <"$sources" >"$findings"
lines=$(awk -F '\t' '$1 == "total" { lines += $3 } END { print lines + 0 }' "$findings")
found=$(awk -F '\t' '$1 != "total"' "$findings" | awk 'END { print NR }')
breyta jobs worker progress --status running --message "read $lines lines, $found findings" \
    --metric files="$files" --metric lines="$lines" --metric findings="$found"

# The findings as JSON, at most 20; the totals say how many there are of each kind.
awk -F '\t' '
    function json(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/[[:cntrl:]]/, " ", text); return "\"" text "\"" }
    $1 == "total" { if ($3 > most) { most = $3; largest = $2 } next }
    { count[$1]++ }
    ++shown <= 20 { list = list (list == "" ? "" : ",") "{\"kind\":" json($1) ",\"file\":" json($2) ",\"line\":" $3 ",\"size\":" $4 ",\"text\":" json($5) "}" }
    END {
        printf "{\"largestFile\":%s,\"findings\":[%s],\"counts\":{", (largest == "" ? "null" : json(largest)), list
        for (kind in count) printf "%s%s:%d", (comma++ ? "," : ""), json(kind), count[kind]
        printf "}}\n"
    }' "$findings" >"$BREYTA_JOB_DIR/outputs.json"

if [ "$found" -eq 0 ]; then
    status=no_changes summary="nothing to report in $files files"
else
    status=succeeded summary="$found findings in $files files"
fi
breyta jobs worker finish --status "$status" --summary "$summary" --outputs "$(cat "$BREYTA_JOB_DIR/outputs.json")" \
    --metric files="$files" --metric lines="$lines" --metric findings="$found"
