#!/usr/bin/env bash
# Runs the conformance checks of all clients against the embedded broker and Apache Kafka and prints one table, side by
# side. Exit code 1 when a check fails.
#
#   kafka/conformance/run.sh
#
# The Rust suite (librdkafka and raw requests) always runs. Python's checks need python3 with venv and, once, a package
# index for kafka-python; Java's need a JDK of version 17; Apache Kafka needs Java too and, once, Maven. What is missing is
# named below the table. VELO_KAFKA=HOST:PORT names a broker that runs already and is taken for Apache Kafka; without it
# demo/kafka/up.sh starts one in target/conformance and it is stopped at the end. VELOSTREAM_KAFKA_LIBS: Kafka's jars.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=target/conformance
here=kafka/conformance
libs=${VELOSTREAM_KAFKA_LIBS:-${VELOSTREAM_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-4.1.1}/libs}
# What a broker does every few minutes by default is done every second here, so that checks need not wait for it.
often=(--set log.retention.check.interval.ms=1000 --set log.cleaner.backoff.ms=500 --set log.initial.task.delay.ms=500
    --set transaction.abort.timed.out.transaction.cleanup.interval.ms=1000)
notes=()
failed=0
embedded_pid=
apache_is_ours=no
mkdir -p "$out"
rm -f "$out"/*.txt

cleanup() {
    [ -z "$embedded_pid" ] || kill "$embedded_pid" 2>/dev/null || true
    [ $apache_is_ours = no ] || own_kafka demo/kafka/down.sh --purge >/dev/null 2>&1 || true
}
trap cleanup EXIT

# With the jars of the user's own place, but another folder to run in: a Kafka that the user has running is left alone.
own_kafka() { VELOSTREAM_KAFKA_HOME=$PWD/$out/kafka VELOSTREAM_KAFKA_LIBS=$libs KAFKA_HEAP=512m "$@"; }

has_java() {
    command -v java >/dev/null && [ "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)" -ge 17 ]
}

start_embedded() {
    rm -f "$out/ready"
    target/release/velo-test broker --port 0 --ready-file "$PWD/$out/ready" >/dev/null 2>"$out/broker.log" &
    embedded_pid=$!
    until [ -s "$out/ready" ]; do
        kill -0 "$embedded_pid" 2>/dev/null || { cat "$out/broker.log" >&2; echo "error: the embedded broker did not start" >&2; exit 1; }
        sleep 0.1
    done
    embedded=$(cat "$out/ready")
}

start_apache() {
    apache=${VELO_KAFKA:-}
    [ -z "$apache" ] || return 0
    if ! has_java; then
        notes+=("Apache Kafka: Java 17 or later is missing")
    elif own_kafka demo/kafka/up.sh "${often[@]}" >"$out/kafka-up.log" 2>&1; then
        apache_is_ours=yes
        apache=localhost:$(cat "$out/kafka/run/port")
    else
        notes+=("Apache Kafka: $(grep -m 1 '^error' "$out/kafka-up.log" || echo "it did not start, see $out/kafka-up.log")")
    fi
}

need_python() {
    local why=
    if ! command -v python3 >/dev/null; then
        why="python3 is missing"
    elif [ ! -x "$out/venv/bin/python" ] && ! python3 -m venv "$out/venv" >"$out/venv.log" 2>&1; then
        why="python3 has no venv, see $out/venv.log"
    elif ! "$out/venv/bin/pip" install --quiet --requirement $here/python/requirements.txt >"$out/venv.log" 2>&1; then
        why="$(cat $here/python/requirements.txt) could not be installed, see $out/venv.log"
    fi
    [ -z "$why" ] || { notes+=("Python's checks: $why"); return 1; }
}

# Item, check, client, embedded, files, apache; from lines of `item  name  target  verdict  time`, columns two blanks apart.
table() {
    awk -F '   *' '
        FNR == 1 { client = FILENAME; sub(/.*\//, "", client); sub(/-.*/, "", client) }
        $4 == "ok" || $4 == "FAILED" {
            key = $1 SUBSEP $2 SUBSEP client
            if (!(key in seen)) { seen[key] = 1; rows[++n] = key }
            cell[key, $3] = ($4 == "ok") ? "ok " $5 : "FAILED"
            total[$3]++; good[$3] += $4 == "ok"
            if (!($1 in items)) { items[$1] = 1; order[++m] = $1 }
        }
        function show(key, target,   part) {
            if ((key SUBSEP target) in cell) return cell[key, target]
            split(key, part, SUBSEP)
            if (part[3] == "rust" && !((key SUBSEP "files") in cell)) return "embedded only"
            return "-"
        }
        END {
            line = "%-13s  %-72s  %-6s  %-13s  %-13s  %s\n"
            printf line, "item", "check", "client", "embedded", "files", "apache"
            for (i = 1; i <= m; i++) for (j = 1; j <= n; j++) {
                split(rows[j], part, SUBSEP)
                if (part[1] != order[i]) continue
                printf line, part[1], part[2], part[3], show(rows[j], "embedded"), show(rows[j], "files"), show(rows[j], "apache")
            }
            printf line, "", n " checks", "", good["embedded"] + 0 " of " total["embedded"] + 0, \
                good["files"] + 0 " of " total["files"] + 0, good["apache"] + 0 " of " total["apache"] + 0
        }' "$@"
}

cargo build --quiet --release --bin velo-test
rust=$(cargo test --quiet --release -p velostream-kafka --test conformance --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
start_embedded
start_apache
export -n VELO_KAFKA
python=no
need_python && python=yes

# Clients wait long for a broker that is not there.
alive() {
    kill -0 "$embedded_pid" 2>/dev/null || { echo "error: the embedded broker ended; its log is $out/broker.log" >&2; exit 1; }
}

# client NAME TARGET COMMAND…: starts it; what it prints is kept for the table.
clients=()
client() {
    local name=$1 target=$2
    shift 2
    "$@" >"$out/$name-$target.txt" 2>"$out/$name-$target.log" &
    clients+=("$! $name-$target")
}

# Waits for the clients that were started; a failed check is in the table, a client that failed without one is named.
joined() {
    local entry
    for entry in "${clients[@]}"; do
        wait "${entry%% *}" && continue
        failed=1
        grep -q '  FAILED  ' "$out/${entry#* }.txt" || notes+=("${entry#* }: it ended early, see $out/${entry#* }.log")
    done
    clients=()
}

client rust embedded env VELO_KAFKA= "$rust"
[ -z "$apache" ] || client rust apache "$rust" --brokers "$apache"
joined
alive
java=no
if ! has_java; then
    notes+=("Java's checks: Java 17 or later is missing")
elif [ ! -f "$libs/kafka-tools-4.1.1.jar" ]; then
    notes+=("Java's checks: $libs has no kafka-tools-4.1.1.jar; demo/kafka/up.sh fetches it")
else
    java=yes
fi
for target in embedded apache; do
    address=${!target}
    [ -n "$address" ] || continue
    [ $python = no ] || client python $target "$out/venv/bin/python" $here/python/checks.py --brokers "$address" --target $target
    [ $java = no ] || client java $target $here/java.sh --brokers "$address" --target $target --libs "$libs"
done
joined

reports=()
for client in rust python java; do
    for target in embedded apache; do
        [ ! -f "$out/$client-$target.txt" ] || reports+=("$out/$client-$target.txt")
    done
done
table "${reports[@]}"
awk '/  FAILED  /{ shown = 1; print; next } /^    / && shown { print; next } { shown = 0 }' "${reports[@]}"
[ ${#notes[@]} = 0 ] || printf 'skipped: %s\n' "${notes[@]}"
[ $failed = 0 ] || echo "some checks failed; what each client said lies in $out"
exit $failed
