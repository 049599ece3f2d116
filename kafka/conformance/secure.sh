#!/usr/bin/env bash
# Runs an app over a secured Apache Kafka (SASL_SSL with PLAIN and SCRAM, ACLs) and compares what it says of the mistakes
# everyone makes there: wrong password, TLS on a plaintext port and the reverse, an unknown authority, missing ACLs. Every
# ACL that an error names is added with the command it gives, until the app runs. Exit code 1 when something differs.
#
#   kafka/conformance/secure.sh
#
# Needs a JDK of version 17 (keytool) and, once, Maven; without them it says so and ends well. demo/kafka/up.sh --secure
# starts the broker in target/conformance/secure, and it is stopped and removed at the end. VELOSTREAM_KAFKA_LIBS: its jars.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$PWD/target/conformance/secure
libs=${VELOSTREAM_KAFKA_LIBS:-${VELOSTREAM_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-4.1.1}/libs}
run=$out/run
# An app's ACLs, a few more: more rounds mean that adding what was asked for changes nothing.
rounds_max=15
failed=0
checks=0
is_up=no

# With the jars of the user's own place, but another folder to run in: a Kafka that the user has running is left alone.
own_kafka() { VELOSTREAM_KAFKA_HOME=$out VELOSTREAM_KAFKA_LIBS=$libs KAFKA_HEAP=512m "$@"; }

cleanup() { [ $is_up = no ] || own_kafka demo/kafka/down.sh --purge >/dev/null 2>&1 || true; }
trap cleanup EXIT

skip() { echo "skipped: SASL_SSL: $1"; exit 0; }

has_java() {
    command -v java >/dev/null && [ "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)" -ge 17 ]
}

cli() { target/release/velo-cli --brokers "$plain" "$@"; }

# app ARGUMENT…: runs the app to the ends of its topics; answers what it said, ports by name.
app() {
    local said code=0
    said=$(target/release/velo-sql run "$out/app.sql" --until-end --set broker.connect.timeout=10s "$@" 2>&1) || code=$?
    said=${said//$plain/PLAIN}
    said=${said//$secure/SECURE}
    printf '%s\nexit code %s\n' "${said//$run/RUN}" "$code"
}

# secured MECHANISM USER PASSWORD ARGUMENT…
secured() {
    app --brokers "$secure" --set security.protocol=sasl_ssl --set "ssl.ca.location=$run/certs/ca.pem" \
        --set "sasl.mechanism=$1" --set "sasl.username=$2" --set "sasl.password=$3" "${@:4}"
}

verdict() {
    checks=$((checks + 1))
    printf '%-72s  %s\n' "$1" "$2"
    [ "$2" = ok ] || failed=1
}

# says NAME TEXT EXPECTED: the error, word for word; how long it waited is left out.
says() {
    local found
    found=$(sed -n 's/^error: //p' <<<"$2" | sed 's/ (waited [0-9.]* s)$//')
    if [ "$found" = "$3" ] && [[ $2 == *$'\nexit code 1' ]]; then
        verdict "$1" ok
    else
        verdict "$1" FAILED
        printf '    expected: %s\n    found:    %s\n' "$3" "$2"
    fi
}

# writes NAME TEXT ROWS: the run went well, and all its runs have written so many rows.
writes() {
    local rows
    rows=$(cli topic peek big -n 1000 --format json | grep -c '"value"' || true)
    if [[ $2 == *$'\nexit code 0' ]] && [ "$rows" = "$3" ]; then
        verdict "$1" ok
    else
        verdict "$1" FAILED
        printf '    expected %s rows, found %s; it said: %s\n' "$3" "$rows" "$2"
    fi
}

# Adds what the errors ask for, one after the other, until the app runs. Each has to name user, operation and resource.
granted() {
    local said command asked=
    for _ in $(seq $rounds_max); do
        said=$(secured PLAIN guest guest-secret --group guests)
        [[ $said == *$'\nexit code 0' ]] && { printf '%s\n%s' "$asked" "$said"; return; }
        command=$(grep -o 'kafka-acls.sh --bootstrap-server SECURE --add .*' <<<"$said" | head -n 1 | tr -d "'")
        [ -n "$command" ] || { printf 'no ACL to add in: %s' "$said"; return; }
        asked+="${command##*--allow-principal }; "
        # shellcheck disable=SC2086 # the command's words are its arguments
        java -cp "$libs/*" org.apache.kafka.tools.AclCommand --bootstrap-server "$plain" ${command#*SECURE} \
            >>"$out/acls.log" 2>&1 || { printf 'this command failed: %s' "$command"; return; }
    done
    printf 'after %s ACLs: %s' $rounds_max "$said"
}

mkdir -p "$out"
has_java || skip "Java 17 or later is missing"
[ -f "$libs/kafka-tools-4.1.1.jar" ] || command -v mvn >/dev/null || skip "Maven is missing, and $libs has no jars of Kafka"
cargo build --quiet --release --bin velo-sql --bin velo-cli
own_kafka demo/kafka/down.sh --purge >/dev/null 2>&1 || true
own_kafka demo/kafka/up.sh --secure >"$out/up.log" 2>&1 ||
    skip "$(grep -m 1 '^error' "$out/up.log" || echo "Apache Kafka did not start, see $out/up.log")"
is_up=yes
plain=localhost:$(cat "$run/port") secure=localhost:$(cat "$run/secure_port")

cli topic create trades -p 2 >/dev/null
printf '{"id":1,"v":5}\n{"id":2,"v":7}\n{"id":3,"v":9}\n' | cli topic produce trades >/dev/null
cat >"$out/app.sql" <<'SQL'
CREATE STREAM trades (id INT, v INT) WITH (type = 'kafka', topic = 'trades', format = 'json');
CREATE STREAM big AS SELECT id, v FROM trades WHERE v > 5 WITH ('big.type' = 'kafka', 'big.topic' = 'big');
SQL

writes "an app over SASL_SSL with PLAIN" "$(secured PLAIN admin admin-secret --group plain)" 2
writes "an app over SASL_SSL with SCRAM-SHA-512" "$(secured SCRAM-SHA-512 admin admin-secret --group scram)" 4
refused="Kafka at SECURE (--brokers) refused the credentials: sasl.username = admin (--set), mechanism"
check="Check sasl.username and sasl.password, and that the user exists for this mechanism"
says "a wrong password, PLAIN" "$(secured PLAIN admin wrong)" \
    "$refused PLAIN: Authentication failed: Invalid username or password. $check"
says "a wrong password, SCRAM" "$(secured SCRAM-SHA-512 admin wrong)" \
    "$refused SCRAM-SHA-512: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512. $check"
says "a mechanism that is not offered" "$(secured SCRAM-SHA-256 admin admin-secret)" \
    "Kafka at SECURE (--brokers) does not offer sasl.mechanism = SCRAM-SHA-256 (--set). It offers PLAIN,SCRAM-SHA-512: set sasl.mechanism to one of these"
says "TLS on a plaintext port" "$(app --brokers "$plain" --set security.protocol=ssl)" \
    "Kafka at PLAIN (--brokers) does not speak TLS on this port, but security.protocol = ssl (--set). Use the broker's TLS port, or set security.protocol = plaintext"
says "no TLS on a TLS port" "$(app --brokers "$secure")" \
    "Kafka at SECURE (--brokers) closed the connection at the first byte, as ports do that want TLS: security.protocol = plaintext (the default). Set security.protocol = ssl (or sasl_ssl) and ssl.ca.location, or use the broker's plaintext port"
says "TLS without SASL" "$(app --brokers "$secure" --set security.protocol=ssl --set "ssl.ca.location=$run/certs/ca.pem")" \
    "Kafka at SECURE (--brokers) closed the connection at the first request, as brokers do that want SASL: security.protocol = ssl (--set). If it does, set security.protocol = sasl_ssl, sasl.mechanism, sasl.username and sasl.password; if not, its log says why"
says "an unknown certificate authority" "$(app --brokers "$secure" --set security.protocol=sasl_ssl --set sasl.mechanism=PLAIN --set sasl.username=admin --set sasl.password=admin-secret)" \
    "the certificate of Kafka at SECURE (--brokers) could not be verified: ssl.ca.location is not set, so that only this machine's own authorities count, or it names another host. Set ssl.ca.location to a PEM file with the certificate authority of the brokers, and use the host name the certificate was made for"
says "a missing ACL: who, what, and the command that adds it" "$(secured PLAIN guest guest-secret --group guests)" \
    "User:guest may not Describe topic \"trades\" at SECURE. Missing ACL: allow User:guest operation Describe on topic \"trades\"; whoever administers the brokers adds it with kafka-acls.sh --bootstrap-server SECURE --add --allow-principal 'User:guest' --operation Describe --topic trades"
said=$(granted)
writes "with the ACLs its errors ask for, the app runs" "$said" 6
printf '    ACLs asked for: %s\n' "${said%%$'\n'*}"
printf '%s checks\n' $checks
exit $failed
