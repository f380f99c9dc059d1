#!/bin/sh
# Runs every test suite, whatever the others did, and ends with `N passed, N failed` over all of them.
# A suite that crashes, cannot be built or prints no count is at least one failure. `make test` is this.

cd "$(dirname "$0")/.." || exit 1
logs=target/test-logs
mkdir -p "$logs"
rm -f "$logs/total"
passed=0
failed=0

# Adds $1 passed and $2 failed; $3 is the suite's exit status, which may know better than its counts.
count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    if [ "$3" -ne 0 ] && [ "$2" -eq 0 ]; then
        echo "this suite ended with status $3"
        failed=$((failed + 1))
    fi
}

# A JDK that warns about native access was not told of it by our own command.
quiet() {
    if grep -q 'WARNING: .*restricted method\|WARNING: .*native access' "$log"; then
        echo "the JDK warned about native access"
        failed=$((failed + 1))
    fi
}

# Runs "$@" with its output shown and kept in $log; the status of a pipe would be that of tee.
shown() {
    { "$@" 2>&1; echo $? >"$log.status"; } | tee "$log"
    status=$(cat "$log.status")
}

build() {
    log=$logs/build.log
    echo "== Build"
    shown "${MAKE:-make}" build
    count 0 0 "$status"
}

rust() {
    log=$logs/rust.log
    echo "== Rust"
    shown "${CARGO:-cargo}" test --locked --no-fail-fast --target-dir target
    # A binary that was started and never gave its result has crashed.
    set -- $(awk '
        /^ +(Running|Doc-tests) / { started++ }
        /^test result: / { ended++; passed += $4; failed += $6 }
        END { print passed + 0, failed + started - ended }' "$log")
    count "$1" "$2" "$status"
}

major() {
    "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

# Every JDK in the places where they are usually put.
jdks() {
    for java in /usr/lib/jvm/*/bin/java "$HOME"/.sdkman/candidates/java/*/bin/java "$HOME"/.jdks/*/bin/java \
        /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java "$(command -v java)"; do
        if [ -x "$java" ]; then echo "$java"; fi
    done
}

newest() {
    jdks | while read -r java; do echo "$(major "$java") $java"; done | sort -n | tail -n 1 | cut -d ' ' -f 2-
}

clojure() {
    java=$1
    log=$logs/clojure-$(major "$java").log
    echo "== Clojure on JDK $(major "$java") ($java)"
    native=--enable-native-access=ALL-UNNAMED
    "$java" $native -version >/dev/null 2>&1 || native=
    shown "$java" $native -cp "$(cat target/classpath/test)" clojure.main -m errand.test-runner
    set -- $(sed -n 's/^clojure tests: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    count "${1:-0}" "${2:-1}" "$status"
    quiet
}

demo() {
    log=$logs/demo.log
    echo "== Demo on JDK $(major "$1")"
    shown env JAVA="$1" examples/demo.sh
    if [ "$status" -eq 0 ]; then count 1 0 0; else count 0 1 "$status"; fi
    quiet
}

build
rust
default=${JAVA_HOME:+$JAVA_HOME/bin/java}
default=${default:-$(command -v java)}
latest=$(newest)
if [ "$(major "$latest")" = "$(major "$default")" ]; then latest=; fi
clojure "$default"
if [ -n "$latest" ]; then clojure "$latest"; fi
demo "${latest:-$default}"

echo "$passed passed, $failed failed" | tee "$logs/total"
[ "$failed" -eq 0 ]
