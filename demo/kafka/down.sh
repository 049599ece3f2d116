#!/usr/bin/env bash
# Stops the Kafka that demo/kafka/up.sh started.
#
#   demo/kafka/down.sh            topics and data stay for the next start
#   demo/kafka/down.sh --purge    they are removed, certificates too; the fetched jars stay
set -euo pipefail

VERSION=4.1.1
STOP_SECONDS_MAX=30
RUN=${VELOSTREAM_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-$VERSION}/run

purge=no
case ${1:-} in
'') ;;
--purge) purge=yes ;;
-h | --help) sed -n '2,/^set -/{s/^# \{0,1\}//;/^set -/d;p}' "$0"; exit 0 ;;
*) printf 'error: unknown argument %s; --purge is the only one\n' "$1" >&2; exit 2 ;;
esac

pid=$(cat "$RUN/pid" 2>/dev/null || true)
# The command line must hold the folder: a reused process id is not ours to end.
ours() { [ -n "$pid" ] && ps -p "$pid" -o args= 2>/dev/null | grep -qF "$RUN/server.properties"; }

if ours; then
    kill "$pid"
    for _ in $(seq $((STOP_SECONDS_MAX * 5))); do
        ours || break
        sleep 0.2
    done
    if ours; then
        printf 'it did not stop within %s s and is killed\n' "$STOP_SECONDS_MAX" >&2
        kill -9 "$pid"
    fi
    echo "stopped"
else
    echo "it was not running"
fi
rm -f "$RUN/pid"
if [ $purge = yes ] && [ -e "$RUN" ]; then
    rm -rf "$RUN"
    echo "removed $RUN"
fi
