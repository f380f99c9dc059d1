#!/bin/sh
# The storms for as long as is asked for, one after the other: `make storm STORM='…'` is this, after `make build`.
# Each part says in a line what happened; what it printed besides is in target/storm, in a file for each part and seed:
# several storms may be under way at once.

cd "$(dirname "$0")/.." || exit 1

usage() {
    cat <<END
usage: make storm [STORM='OPTION…']
  --seconds N       how long in all, about, and what a million submissions take besides; default 300
  --seed N          for another storm; default: the time
  --only PART       processes, full_disk, descriptors or million; repeat for more
  --submissions N   of the part million, in all; default 1000000
END
    exit "$1"
}

seconds=300
seed=$(date +%s)
parts=
submissions=1000000
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage 0 ;;
    esac
    [ $# -ge 2 ] || usage 2
    case $1 in
    --seconds) seconds=$2 ;;
    --seed) seed=$2 ;;
    --only) parts="$parts $2" ;;
    --submissions) submissions=$2 ;;
    *) usage 2 ;;
    esac
    shift 2
done

# What the disk and the descriptors get of the time; a million submissions take as long as they take.
few=$((seconds / 15))
case "$parts" in
'') parts='processes full_disk descriptors million' long=$((seconds - 4 * few)) ;;
*) long=$seconds few=$seconds ;;
esac

logs=target/storm
mkdir -p "$logs"
native=--enable-native-access=ALL-UNNAMED
java=${JAVA:-java}
"$java" $native -version >/dev/null 2>&1 || native=
export ERRAND_SEED="$seed" ERRAND_STORM_SUBMISSIONS="$submissions"
export ERRAND_STORM_PROGRAM="$PWD/target/release/errand"
export ERRAND_STORM_JVM="$java $native -Xmx256m -cp $(cat target/classpath/test) clojure.main -m errand.storm"

failed=0
for part in $parts; do
    if [ "$part" = processes ]; then ERRAND_STORM_S=$long; else ERRAND_STORM_S=$few; fi
    export ERRAND_STORM_S
    log=$logs/$part-$seed.log
    "${CARGO:-cargo}" test --locked --target-dir target --test all "storm::$part" -- --nocapture --test-threads 1 \
        >"$log" 2>&1
    status=$?
    grep -o '\(storm\|late\): .*' "$log"
    if [ "$status" -ne 0 ]; then
        grep -v '^errand: ' "$log" | tail -n 40
        echo "storm: $part FAILED, seed $seed, see $log"
        failed=1
    fi
done
exit "$failed"
