#!/usr/bin/env bash
# Checks velo-test as its users have it, on the demo apps and on a million records: verdicts, times, memory, progress; the
# same reports and rows over and over, on several shards, through sockets and on Apache Kafka; reports in their formats.
# Prints a line for each check, and exits with 1 when one does not hold.
#
#   bin/velo-test/checks/run.sh
#
# Needs target/release/velo-test. Apache Kafka needs Java 17 and, once, Maven: demo/kafka/up.sh starts one in target/checks,
# VELO_KAFKA=HOST:PORT names one that runs already. The formats need xmllint, python3 with venv and, once, a package index.
# What is missing is named.
set -euo pipefail
cd "$(dirname "$0")/../../.."

out=$PWD/target/checks
here=bin/velo-test/checks
demos=demo/test_harness_examples
velo_test=target/release/velo-test
libs=${VELOSTREAM_KAFKA_LIBS:-${VELOSTREAM_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-4.1.1}/libs}
seconds_max=10
small_ms_max=150
repeats=20
kafka_is_ours=no
failed=0
mkdir -p "$out"
rm -rf "$out"/outputs "$out"/*.json "$out"/*.xml

# With the jars of the user's own place, but another folder to run in: a Kafka that the user has running is left alone.
own_kafka() { VELOSTREAM_KAFKA_HOME=$out/kafka VELOSTREAM_KAFKA_LIBS=$libs KAFKA_HEAP=512m "$@"; }
cleanup() { [ $kafka_is_ours = no ] || own_kafka demo/kafka/down.sh --purge >/dev/null 2>&1 || true; }
trap cleanup EXIT

# check NAME COMMAND…: TRUE of the command is what should be.
check() {
    local name=$1
    shift
    if "$@"; then printf 'ok      %s\n' "$name"; else printf 'FAILED  %s\n' "$name"; failed=1; fi
}
note() { printf '        %s\n' "$*"; }
skip() { printf 'skipped: %s\n' "$*"; }

# Milliseconds of the clock.
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# demos NAME ARGUMENT…: runs all demo apps; the report goes to NAME.json, rows to outputs/NAME. Some demo fails on purpose.
demos() {
    local name=$1
    shift
    "$velo_test" run "$demos" --seed 1 -o json --save-outputs "$out/outputs/$name" "$@" >"$out/$name.json" || true
}

# A report without how it ran and what was measured: two lines deep at most, so the first brace ends it.
settled() { sed -e '/"measured": {/,/}/d' -e '/"engine": {/,/}/d' "$1"; }

# Names of the apps that a report says did not pass: in apps alone, `passed` stands right behind `name`.
failed_apps() {
    awk -F'"' '$2 == "passed" && /false/ && behind_name { print name } { behind_name = $2 == "name" } behind_name { name = $4 }' "$1"
}

same_report() { diff <(settled "$out/$1.json") <(settled "$out/$2.json") >"$out/diff.log" || { head -n 20 "$out/diff.log"; false; }; }
same_rows() { diff -r "$out/outputs/$1" "$out/outputs/$2" >"$out/diff.log" || { head -n 20 "$out/diff.log"; false; }; }

# Shards write in any order between them.
same_rows_sorted() {
    local file
    while IFS= read -r file; do
        diff <(sort "$out/outputs/$1/$file") <(sort "$out/outputs/$2/$file") >"$out/diff.log" || { echo "$file"; head -n 20 "$out/diff.log"; return 1; }
    done < <(cd "$out/outputs/$1" && find . -type f)
}

begun=$(now_ms)
demos direct
ms=$(($(now_ms) - begun))
apps=$(sed -n 's/.*"apps_total": \([0-9]*\).*/\1/p' "$out/direct.json")
note "$apps apps, $(find "$out/outputs/direct" -type f | wc -l) outputs, $(cat "$out"/outputs/direct/*/* | wc -l) rows in $ms ms"
check "exactly 10_deliberate_failure of all demo apps fails" [ "$(failed_apps "$out/direct.json")" = 10_deliberate_failure ]
check "all demo apps within $seconds_max s" [ "$ms" -le $((seconds_max * 1000)) ]

least=1000000
for _ in 1 2 3 4 5; do
    begun=$(now_ms)
    "$velo_test" run "$demos/tier1_basic/01_passthrough.sql" >/dev/null
    ms=$(($(now_ms) - begun))
    [ "$ms" -ge "$least" ] || least=$ms
done
note "one small spec: $least ms, the least of 5"
check "a small spec within $small_ms_max ms" [ "$least" -le $small_ms_max ]

begun=$(now_ms)
for ((i = 2; i <= repeats; i++)); do
    demos again
    same_report direct again && same_rows direct again || break
done
check "$repeats runs in a row give one report and the same rows" [ "$i" -gt "$repeats" ]
printf 'suite velo_test_repeats cases %s seed 1 seconds %s\n' "$repeats" "$((($(now_ms) - begun) / 1000))"

for shards in 2 4; do
    demos "shards_$shards" --shards $shards
    check "the same verdicts on $shards shards" same_report direct "shards_$shards"
    check "the same final rows on $shards shards" same_rows_sorted direct "shards_$shards"
done

begun=$(now_ms)
demos sockets --production-client
note "through sockets: $((($(now_ms) - begun) / 1000)) s"
check "the same verdicts through the production client" same_report direct sockets
check "the same rows through the production client" same_rows direct sockets

kafka=${VELO_KAFKA:-}
if [ -z "$kafka" ]; then
    java=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1 || true)
    if [ "${java:-0}" -lt 17 ]; then
        skip "velo-test on Apache Kafka: Java 17 or later is missing"
    elif own_kafka demo/kafka/up.sh --set group.initial.rebalance.delay.ms=0 >"$out/kafka-up.log" 2>&1; then
        kafka_is_ours=yes
        kafka=localhost:$(cat "$out/kafka/run/port")
    else
        skip "velo-test on Apache Kafka: $(grep -m 1 '^error' "$out/kafka-up.log" || echo "it did not start, see $out/kafka-up.log")"
    fi
fi
if [ -n "$kafka" ]; then
    begun=$(now_ms)
    demos apache --kafka "$kafka"
    note "on Apache Kafka: $((($(now_ms) - begun) / 1000)) s"
    check "the same verdicts on Apache Kafka" same_report direct apache
    check "the same rows on Apache Kafka" same_rows direct apache
    check "nothing is left there" [ -z "$(target/release/velo-cli --brokers "$kafka" topic list 2>/dev/null | grep test_ || true)" ]
fi

if command -v python3 >/dev/null; then
    check "a million records" python3 $here/million.py 20 500 "$velo_test" run "$here/million/million.sql" --seed 1
else
    skip "a million records: python3 is missing"
fi

"$velo_test" run "$demos" --seed 1 -o junit >"$out/demos.xml" || true
"$velo_test" run "$demos/tier1_basic/10_deliberate_failure.sql" --seed 1 -o junit >"$out/failure.xml" || true
"$velo_test" run "$demos/tier1_basic/10_deliberate_failure.sql" --seed 1 -o json >"$out/failure.json" || true
"$velo_test" schema junit >"$out/junit.xsd"
"$velo_test" schema report >"$out/report.schema"
if command -v xmllint >/dev/null; then
    check "JUnit reports are as their XML Schema says" xmllint --noout --schema "$out/junit.xsd" "$out/demos.xml" "$out/failure.xml"
else
    skip "JUnit reports against their XML Schema: xmllint is missing"
fi
if ! { [ -x "$out/venv/bin/python" ] || python3 -m venv "$out/venv"; } >"$out/venv.log" 2>&1; then
    skip "JUnit in junitparser, JSON by its schema: python3 has no venv, see $out/venv.log"
elif ! "$out/venv/bin/pip" install --quiet --requirement $here/requirements.txt >"$out/venv.log" 2>&1; then
    skip "JUnit in junitparser, JSON by its schema: $(tr '\n' ' ' <$here/requirements.txt)could not be installed, see $out/venv.log"
else
    check "JUnit loads in junitparser, JSON is as its schema says" \
        "$out/venv/bin/python" $here/formats.py "$out/report.schema" "$out/direct.json" "$out/failure.json" "$out/demos.xml" "$out/failure.xml"
fi
exit "$failed"
