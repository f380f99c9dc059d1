#!/bin/sh
# The demo: a worker from the command line reviews this project's own sources for a Clojure flow in a JVM.
# `make demo` builds what it needs. The database stays in target/demo/errand.db, to be looked at afterwards.
set -eu
cd "$(dirname "$0")/.."

mkdir -p target/demo
# What the caller has set for a control plane or store of their own is not for the demo.
unset ERRAND_API_URL BREYTA_API_URL ERRAND_WORKSPACE BREYTA_WORKSPACE ERRAND_API_KEY BREYTA_API_KEY BREYTA_TOKEN
ERRAND_DB=$PWD/target/demo/errand.db
export ERRAND_DB
log=target/demo/worker.log

target/release/errand jobs worker run --type source-review --handler examples/review.sh --concurrency 2 >"$log" 2>&1 &
worker=$!

# Asks the worker to drain, once; its exit status is the result.
end_worker() {
    trap - EXIT
    kill -TERM "$worker" 2>/dev/null || true
    wait "$worker"
}
trap 'end_worker || true; echo "demo: failed; the worker wrote:" >&2; tail -n 20 "$log" >&2' EXIT
trap 'exit 130' INT TERM

java=${JAVA:-${JAVA_HOME:+$JAVA_HOME/bin/}java}
native=--enable-native-access=ALL-UNNAMED
"$java" $native -version >/dev/null 2>&1 || native=
"$java" $native -cp "$(cat target/classpath/demo)" clojure.main -m review \
    src/engine src/store src/job src/value clj examples

end_worker || { echo "demo: the worker ended with status $?; see $log" >&2; exit 1; }
echo
echo "The database is $ERRAND_DB; look at it with"
echo "  ERRAND_DB=target/demo/errand.db target/release/errand jobs list"
