#!/bin/sh
# Fuzzes every way into the program, guided by coverage (libFuzzer on the stable toolchain), and ends with a line for
# each target. What fails goes to tests/corpus/TARGET/, where `cargo test` finds it again. `make fuzz` is this;
# FUZZ='--seconds 600 --seed 7 json http' is given to it. The inputs that reached something new stay under target/fuzz.

cd "$(dirname "$0")/.." || exit 1
root=$PWD
build=$root/target/fuzz
seconds=60
seed=$(date +%s)
targets=

usage() {
    echo "usage: tests/fuzz.sh [--seconds N a target] [--seed N] [edn-text|binary|json|args|result|http …]" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=$2 && shift 2 || usage ;;
        --seed) seed=$2 && shift 2 || usage ;;
        edn-text | binary | json | args | result | http) targets="$targets $1" && shift ;;
        *) usage ;;
    esac
done
targets=${targets:-edn-text binary json args result http}

# A target of its own keeps these flags off build scripts; the counters are what libFuzzer is guided by.
host=$(rustc -vV | sed -n 's/^host: //p')
cover='-Cpasses=sancov-module'
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    cover="$cover -Cllvm-args=-sanitizer-coverage-$flag"
done
(cd fuzz && RUSTFLAGS="$cover" "${CARGO:-cargo}" build --quiet --release --locked --target "$host" --target-dir "$build") || exit 1
fuzz=$build/$host/release/fuzz

# Fuzzes one target for its time; the line that says how it went goes to $build/TARGET.line.
run() {
    target=$1
    log=$build/$target.log
    corpus=$build/corpus/$target
    found=$build/found/$target
    rm -rf "$found" && mkdir -p "$corpus" "$found" "$build/place/$target" || return 1
    begun=$(date +%s)
    # In a folder of its own, since arguments may name files.
    (cd "$build/place/$target" && FUZZ_TARGET=$target "$fuzz" "$corpus" "$root/tests/corpus/$target" -dict="$root/tests/fuzz/words.dict" \
        -seed="$seed" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found/") >"$log" 2>&1 </dev/null
    status=$?
    failures=0
    for file in "$found"/*; do
        [ -e "$file" ] || continue
        failures=$((failures + 1))
        cp "$file" "tests/corpus/$target/found-${file##*/}"
        echo "$target: tests/corpus/$target/found-${file##*/}; see $log" >&2
    done
    # It may have ended without saying on which input.
    if [ $status -ne 0 ] && [ $failures -eq 0 ]; then
        failures=1
        tail -n 20 "$log" >&2
    fi
    cases=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    kept=$(find "$corpus" "tests/corpus/$target" -type f | wc -l)
    echo "fuzz $target: ${cases:-0} cases, $(($(date +%s) - begun)) s, $failures failures, corpus $((kept))" >"$build/$target.line"
    cat "$build/$target.line"
}

# Whether clojure.edn reads what was found as we do; needs what `make fuzz` builds.
compare() {
    paths=target/classpath/test
    [ -e $paths ] || { echo "fuzz edn-oracle: not run, $paths is missing" && return; }
    find "$build/corpus/edn-text" tests/corpus/edn-text -type f | FUZZ_TARGET=edn-told xargs "$fuzz" 2>/dev/null | sed -n 's/^TOLD //p' >"$build/told"
    "${JAVA:-java}" -Xss8m -cp "$(cat $paths)" clojure.main tests/fuzz/oracle.clj "$build/told" | tee "$build/edn-oracle.line"
}

echo "fuzz: seed $seed, $seconds s a target, two at a time"
rm -f "$build"/*.line
# Two lanes: of the two cores that there may be, neither waits for the other.
lane() {
    for target in "$@"; do run "$target"; done
}
# shellcheck disable=SC2086
set -- $targets
left= right= side=left
for target in "$@"; do
    if [ $side = left ]; then left="$left $target" side=right; else right="$right $target" side=left; fi
done
# shellcheck disable=SC2086
lane $left &
# shellcheck disable=SC2086
lane $right
wait
case " $targets " in *' edn-text '*) compare ;; esac
FUZZ_TARGET=shapes "$fuzz" 2>"$build/shapes.log" | tee "$build/shapes.line"
grep '^shapes: ' "$build/shapes.log" >&2
! cat "$build"/*.line | grep -qv ' 0 failures'
