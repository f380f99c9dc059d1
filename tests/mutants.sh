#!/bin/sh
# Shows that the tests can fail: applies each of tests/mutants/*.patch to a copy of the sources and runs the test that
# its first line names, which has to fail. Ends with `N mutants, N killed`. `tests/mutants.sh fence-removed …` runs those.

cd "$(dirname "$0")/.." || exit 1
root=$PWD
copy=$root/target/mutants
log=$copy/log

# How long a storm that is a killer goes on: one that is asked for also judges how late leases are ended.
export ERRAND_STORM_S=40

# The sources as they are here, and nothing that an earlier mutant left.
rm -rf "$copy/tree" && mkdir -p "$copy/tree" || exit 1
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy/tree" || exit 1

# Runs one test; 0 where it passed, 1 where it failed, 2 where it could not be run.
run() {
    (cd "$copy/tree" && CARGO_TARGET_DIR=$copy/build timeout 300 "${CARGO:-cargo}" test --locked --test all -- --exact "$1") \
        >"$log" 2>&1
    status=$?
    if grep -q "^test $1 \.\.\. ok" "$log" && [ $status -eq 0 ]; then return 0; fi
    # A mutant that waits for ever, or brings its process down, is found out too.
    if grep -q "^test $1 \.\.\. FAILED" "$log" || grep -q '^     Running' "$log"; then return 1; fi
    tail -n 20 "$log" >&2
    return 2
}

if [ $# -eq 0 ]; then
    for patch in tests/mutants/*.patch; do
        name=${patch##*/}
        set -- "$@" "${name%.patch}"
    done
fi

killer() {
    sed -n '1s/^Killed by: //p' "tests/mutants/$1.patch"
}

for name in "$@"; do
    if ! run "$(killer "$name")"; then
        echo "$name: $(killer "$name") does not pass without it"
        exit 1
    fi
done

killed=0
for name in "$@"; do
    patch=$root/tests/mutants/$name.patch
    if ! (cd "$copy/tree" && patch -s -p1 <"$patch"); then
        echo "$name: does not apply any more"
        exit 1
    fi
    run "$(killer "$name")"
    case $? in
        0) echo "$name: SURVIVES $(killer "$name")" ;;
        1) echo "$name: killed by $(killer "$name")" && killed=$((killed + 1)) ;;
        *) echo "$name: does not build" ;;
    esac
    (cd "$copy/tree" && patch -s -R -p1 <"$patch") || exit 1
done
echo "$# mutants, $killed killed"
[ $# -eq "$killed" ]
