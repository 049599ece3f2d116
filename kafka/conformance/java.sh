#!/usr/bin/env bash
# Conformance checks through Kafka's own command-line tools, which are Java clients.
#
#   kafka/conformance/java.sh --brokers HOST:PORT --target NAME --libs FOLDER
#
# FOLDER holds Kafka's jars, as demo/kafka/up.sh fetches them. One line per check, as the Rust suite prints them; exit
# code 1 when one fails. Topics and groups have names of their own and are deleted at the end.
set -euo pipefail

brokers= target= libs=
while [ $# -gt 0 ]; do
    case $1 in
    --brokers) brokers=$2 ;;
    --target) target=$2 ;;
    --libs) libs=$2 ;;
    *) sed -n '2,/^set -/{s/^# \{0,1\}//;/^set -/d;p}' "$0"; exit 2 ;;
    esac
    shift 2 || { echo "error: $1 needs a value" >&2; exit 2; }
done
[ -n "$brokers" ] && [ -n "$target" ] && [ -n "$libs" ] || { echo "error: --brokers, --target and --libs are needed" >&2; exit 2; }

# Longer than any tool takes.
TOOL_SECONDS_MAX=60
work=$(mktemp -d)
run=velo-java-$(date +%s%N)
printf '%s\n' 'appender.out.type=Console' 'appender.out.name=out' 'appender.out.target=SYSTEM_ERR' \
    'rootLogger.level=ERROR' 'rootLogger.appenderRef.out.ref=out' >"$work/log4j2.properties"

run_class() {
    timeout "$TOOL_SECONDS_MAX" java -Xmx256m -XX:TieredStopAtLevel=1 -Xshare:auto \
        "-XX:SharedArchiveFile=$work/classes.jsa" "-Dlog4j2.configurationFile=$work/log4j2.properties" \
        -cp "$libs/*" "$@"
}
tool() { run_class "$1" --bootstrap-server "$brokers" "${@:2}"; }
topics() { tool org.apache.kafka.tools.TopicCommand "$@"; }
groups() { tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "$@"; }
produce() { tool org.apache.kafka.tools.ConsoleProducer "$@"; }
consume() { tool org.apache.kafka.tools.consumer.ConsoleConsumer --timeout-ms 30000 "$@" 2>/dev/null; }
# Idempotent, as Java's producers are unless told otherwise.
perf_producer() {
    run_class org.apache.kafka.tools.ProducerPerformance --record-size 50 --throughput -1 \
        --producer-props "bootstrap.servers=$brokers" "$@"
}
offsets() { tool org.apache.kafka.tools.GetOffsetShell "$@"; }
transactions() { tool org.apache.kafka.tools.TransactionsCommand "$@"; }

# has PATTERN < text: the text holds a line like this, or the check fails and shows it.
has() {
    local text
    text=$(cat)
    grep -qE -- "$1" <<<"$text" || { printf 'expected a line like %s in\n%s\n' "$1" "$text" >&2; return 1; }
}
same() { [ "$1" = "$2" ] || { printf 'found     %s\nexpected  %s\n' "$1" "$2" >&2; return 1; }; }

cleanup() {
    topics --delete --if-exists --topic "$run-.*" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
# Most of a tool's time is the loading of its classes; an archive of them halves it. Without one it only takes longer.
timeout "$TOOL_SECONDS_MAX" java "-XX:ArchiveClassesAtExit=$work/classes.jsa" -cp "$libs/*" org.apache.kafka.tools.TopicCommand \
    --bootstrap-server "$brokers" --list >/dev/null 2>&1 || true

topic_story() {
    topics --create --topic "$run-made" --partitions 3 --config retention.ms=12345 | has "Created topic $run-made"
    topics --describe --topic "$run-made" | has 'PartitionCount: 3.*retention.ms=12345'
    topics --alter --topic "$run-made" --partitions 5
    topics --describe --topic "$run-made" | has 'Partition: 4.*Leader: 1'
    topics --list | has "^$run-made$"
    topics --delete --topic "$run-made"
    ! topics --list | grep -qx "$run-made"
}

console_story() {
    topics --create --topic "$run-console" --partitions 1 >/dev/null
    printf 'h:1,h:2\tkey\tvalue\nh:x\tk\tü\n' |
        produce --topic "$run-console" --property parse.key=true --property parse.headers=true \
            --compression-codec gzip >/dev/null
    same "$(consume --topic "$run-console" --from-beginning --max-messages 2 --property print.key=true \
        --property print.headers=true --property print.offset=true)" \
        "$(printf 'Offset:0\th:1,h:2\tkey\tvalue\nOffset:1\th:x\tk\tü')"
}

performance_story() {
    topics --create --topic "$run-perf" --partitions 2 >/dev/null
    perf_producer --topic "$run-perf" --num-records 20000 | has '^20000 records sent'
    tool org.apache.kafka.tools.ConsumerPerformance --topic "$run-perf" --messages 20000 --timeout 30000 2>/dev/null |
        has ', 20000, '
}

group_story() {
    local group=$run-group
    topics --create --topic "$run-grouped" --partitions 1 >/dev/null
    seq 10 | produce --topic "$run-grouped" >/dev/null
    same "$(consume --topic "$run-grouped" --group "$group" --from-beginning --max-messages 10 | sort -n | tail -n 1)" 10
    groups --list | has "^$group$"
    groups --describe --group "$group" 2>/dev/null | has "$run-grouped +0 +10 +10 +0"
    groups --describe --group "$group" --state 2>/dev/null | has 'Empty'
    groups --reset-offsets --group "$group" --topic "$run-grouped" --to-offset 4 --execute 2>/dev/null |
        has "$run-grouped +0 +4"
    same "$(consume --topic "$run-grouped" --group "$group" --max-messages 1)" 5
    groups --delete-offsets --group "$group" --topic "$run-grouped" 2>/dev/null | has 'Successful'
    groups --delete --group "$group" 2>/dev/null | has 'was successful'
    ! groups --list 2>/dev/null | grep -qx "$group"
}

member_story() {
    local group=$run-static
    topics --create --topic "$run-static" --partitions 2 >/dev/null
    seq 4 | produce --topic "$run-static" >/dev/null
    consume --topic "$run-static" --group "$group" --from-beginning --max-messages 5 \
        --consumer-property group.instance.id=one --consumer-property client.id=the-client >"$work/member" &
    local member=$! found=
    for _ in $(seq 20); do
        found=$(groups --describe --group "$group" --members --verbose 2>/dev/null || true)
        grep -q "the-client.*$run-static" <<<"$found" && break
    done
    # The fifth record is the one it ends with.
    echo 5 | produce --topic "$run-static" >/dev/null
    wait "$member"
    same "$(sort "$work/member" | tr '\n' ' ')" '1 2 3 4 5 '
    has "one.*the-client.*$run-static" <<<"$found"
}

offset_story() {
    topics --create --topic "$run-offsets" --partitions 2 >/dev/null
    seq 6 | produce --topic "$run-offsets" --producer-property batch.size=0 \
        --producer-property partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner >/dev/null
    same "$(offsets --topic "$run-offsets" --time -2 | sort | tr '\n' ' ')" "$run-offsets:0:0 $run-offsets:1:0 "
    same "$(offsets --topic "$run-offsets" --time -1 | awk -F: '{ n += $3 } END { print n }')" 6
    same "$(offsets --topic "$run-offsets" --time 1 | sort | tr '\n' ' ')" "$run-offsets:0:0 $run-offsets:1:0 "
    offsets --topic "$run-offsets" --time max-timestamp | has "$run-offsets:[01]:[0-9]+"
}

transaction_story() {
    topics --create --topic "$run-txn" --partitions 1 >/dev/null
    perf_producer --topic "$run-txn" --num-records 1000 --transactional-id "$run-id" --transaction-duration-ms 50 |
        has '^1000 records sent'
    same "$(offsets --topic "$run-txn" --time -2)" "$run-txn:0:0"
    transactions list | has "$run-id.*Complete"
    transactions describe --transactional-id "$run-id" | has "$run-id.*CompleteCommit"
    transactions describe-producers --topic "$run-txn" --partition 0 | has '^[0-9]+[[:space:]]+[0-9]+'
    same "$(consume --topic "$run-txn" --from-beginning --isolation-level read_committed --max-messages 1000 | wc -l)" 1000
}

config_story() {
    topics --create --topic "$run-config" --partitions 1 >/dev/null
    configs() { tool kafka.admin.ConfigCommand "$@"; }
    configs --alter --entity-type topics --entity-name "$run-config" --add-config retention.ms=777,cleanup.policy=compact |
        has 'Completed updating config'
    configs --describe --entity-type topics --entity-name "$run-config" | has 'retention.ms=777'
    configs --alter --entity-type topics --entity-name "$run-config" --delete-config retention.ms | has 'Completed'
    ! configs --describe --entity-type topics --entity-name "$run-config" | grep -q 'retention.ms=777'
    configs --describe --entity-type topics --entity-name "$run-config" --all | has 'max.message.bytes=1048588'
}

delete_records_story() {
    topics --create --topic "$run-deleted" --partitions 1 >/dev/null
    seq 5 | produce --topic "$run-deleted" >/dev/null
    printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":3}]}' "$run-deleted" >"$work/delete.json"
    tool org.apache.kafka.tools.DeleteRecordsCommand --offset-json-file "$work/delete.json" | has 'low_watermark: 3'
    same "$(offsets --topic "$run-deleted" --time -2)" "$run-deleted:0:3"
    same "$(consume --topic "$run-deleted" --from-beginning --max-messages 2 | tr '\n' ' ')" '4 5 '
}

log_dirs_story() {
    topics --create --topic "$run-sized" --partitions 1 >/dev/null
    echo x | produce --topic "$run-sized" >/dev/null
    tool org.apache.kafka.tools.LogDirsCommand --describe --topic-list "$run-sized" |
        has "\"partition\":\"$run-sized-0\",\"size\":[1-9]"
}

versions_story() {
    tool org.apache.kafka.tools.BrokerApiVersionsCommand | has 'Fetch\(1\): .*usable'
    run_class org.apache.kafka.tools.ClusterTool cluster-id --bootstrap-server "$brokers" | has 'Cluster ID: .'
}

failed=0
check() {
    local item=$1 name=$2 story=$3 start verdict=ok
    start=$(date +%s%N)
    # In a shell of its own with -e, which `if` or `||` around a function would switch off.
    set +e
    (set -e; "$story") >"$work/out" 2>&1
    [ $? = 0 ] || verdict=FAILED
    set -e
    printf '%-13s  %-72s  %-8s  %-6s  %d ms\n' "$item" "$name" "$target" "$verdict" $((($(date +%s%N) - start) / 1000000))
    if [ $verdict = FAILED ]; then
        sed 's/^/    /' "$work/out"
        failed=1
    fi
}

check admin 'TopicCommand: create, describe, grow, list, delete' topic_story
check records 'ConsoleProducer and ConsoleConsumer: keys, headers, gzip' console_story
check idempotence 'ProducerPerformance and ConsumerPerformance: 20,000 records' performance_story
check groups 'ConsumerGroupCommand: list, describe, reset, delete' group_story
check groups 'ConsumerGroupCommand: a static member and its partitions' member_story
check time-index 'GetOffsetShell: earliest, latest, a time, the greatest time' offset_story
check transactions 'ProducerPerformance with transactions, TransactionsCommand' transaction_story
check admin 'ConfigCommand: set, describe, unset' config_story
check admin 'DeleteRecordsCommand: the log starts later' delete_records_story
check admin 'LogDirsCommand: sizes' log_dirs_story
check admin 'BrokerApiVersionsCommand and ClusterTool' versions_story
exit $failed
