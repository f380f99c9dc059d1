#!/bin/sh
# A job handler: reviews the folder that the payload names, {"path": "src/engine"}, and reports what a reviewer would
# look at first: long files, long functions, long lines, open questions. Only sh and awk are needed.
#
# It is written for `breyta jobs worker run`, and knows nothing else than that contract: BREYTA_… and the helpers.
set -eu

path=$(sed -n 's/.*"path"[[:space:]]*:[[:space:]]*"\([^"\\]*\)".*/\1/p' "$BREYTA_JOB_PAYLOAD_FILE" | head -n 1)
if [ ! -d "$path" ]; then
    exec breyta jobs worker fail --code no_such_folder \
        --message "folder does not exist: \"$path\"" --detail path="$path"
fi

sources=$BREYTA_JOB_DIR/sources
find "$path" -type f \( -name '*.rs' -o -name '*.clj' -o -name '*.java' -o -name '*.sh' -o -name '*.sql' \) |
    sort >"$sources"
files=$(awk 'END { print NR }' "$sources")
breyta jobs worker progress --status running --message "reading $path, files: $files" --metric files="$files"

findings=$BREYTA_JOB_DIR/findings
while read -r file; do
    LC_ALL=C awk -v file="$file" -f "$(dirname "$0")/review.awk" "$file"
done <"$sources" >"$findings"
lines=$(awk -F '\t' '$1 == "total" { lines += $3 } END { print lines + 0 }' "$findings")
found=$(awk -F '\t' '$1 != "total"' "$findings" | awk 'END { print NR }')
breyta jobs worker progress --status running --message "read $lines lines, findings: $found" \
    --metric files="$files" --metric lines="$lines" --metric findings="$found"

# The findings as JSON, at most 20; the counts say how many there are of each kind.
outputs=$(awk -F '\t' '
    function json(text) {
        gsub(/\\/, "&&", text)
        gsub(/"/, "\\\"", text)
        gsub(/[[:cntrl:]]/, " ", text)
        return "\"" text "\""
    }
    $1 == "total" {
        if ($3 > most) { most = $3; largest = $2 }
        next
    }
    { count[$1]++ }
    ++shown <= 20 {
        list = list (list == "" ? "" : ",") sprintf("{\"kind\":%s,\"file\":%s,\"line\":%d,\"size\":%d,\"text\":%s}", \
            json($1), json($2), $3, $4, json($5))
    }
    END {
        for (kind in count) counts = counts (counts == "" ? "" : ",") json(kind) ":" count[kind]
        print "{\"largestFile\":" (largest == "" ? "null" : json(largest))
        print ",\"findings\":[" list "],\"counts\":{" counts "}}"
    }' "$findings")

if [ "$found" -eq 0 ]; then
    status=no_changes
    summary="nothing to report, files read: $files"
else
    status=succeeded
    summary="findings: $found, files read: $files"
fi
breyta jobs worker finish --status "$status" --summary "$summary" --outputs "$outputs" \
    --metric files="$files" --metric lines="$lines" --metric findings="$found"
