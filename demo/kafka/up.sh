#!/usr/bin/env bash
# Starts a single-node Apache Kafka (KRaft, no ZooKeeper) on this machine and prints how to use and stop it.
#
#   demo/kafka/up.sh                 a plaintext listener on 127.0.0.1, port 9092 or the next free one
#   demo/kafka/up.sh --secure        and a SASL_SSL listener with users, certificates and ACLs
#   demo/kafka/up.sh --port 19092    on this port
#   demo/kafka/up.sh --set log.retention.check.interval.ms=1000
#                                    with this line in server.properties; may be repeated
#
# The broker is assembled once from Maven artifacts (about 54 MB). Running it again changes nothing: the address is
# printed. Everything lies below ${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-4.1.1; VELOSTREAM_KAFKA_HOME names
# another folder. demo/kafka/down.sh stops the broker, with --purge it also removes topics and data.
set -euo pipefail

VERSION=4.1.1
START_SECONDS_MAX=90
HOME_DIR=${VELOSTREAM_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/velostream/kafka-$VERSION}
LIBS=${VELOSTREAM_KAFKA_LIBS:-$HOME_DIR/libs}
RUN=$HOME_DIR/run
ADMIN_PASSWORD=admin-secret
GUEST_PASSWORD=guest-secret
STORE_PASSWORD=velostream

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set -/{s/^# \{0,1\}//;/^set -/d;p}' "$0"; }

secure=no
port=
settings=()
while [ $# -gt 0 ]; do
    case $1 in
    --secure) secure=yes ;;
    --port) port=${2:-}; shift; [[ $port =~ ^[0-9]+$ ]] || { fail "--port needs a number"; } ;;
    --set) [[ ${2:-} == ?*=* ]] || fail "--set needs KEY=VALUE"; settings+=("$2"); shift ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'error: unknown argument %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

# TRUE when the process that up.sh started is there; its command line holds the folder, so a reused id is not taken for it.
running() {
    local pid
    pid=$(cat "$RUN/pid" 2>/dev/null) && [ -n "$pid" ] && ps -p "$pid" -o args= 2>/dev/null | grep -qF "$RUN/server.properties"
}

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port from $1 on, in steps that keep well-known neighbours apart.
free_port() {
    local candidate
    for candidate in "$1" $(seq $(($1 + 10000)) 10 $(($1 + 10400))); do
        is_free "$candidate" && { echo "$candidate"; return; }
    done
    fail "no free port found from $1 on; give one with --port"
}

need_java() {
    command -v java >/dev/null || fail "Java is missing: install a JDK of version 17 or later (Debian: apt install openjdk-17-jdk-headless; macOS: brew install openjdk@17)"
    local major
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ] || fail "Kafka $VERSION needs Java 17 or later; $(command -v java) is version ${major:-unknown}"
}

assemble() {
    [ -f "$LIBS/kafka_2.13-$VERSION.jar" ] && return
    command -v mvn >/dev/null || fail "Maven is missing: it fetches Kafka's jars once (Debian: apt install maven; macOS: brew install maven). Or put the jars of a Kafka $VERSION distribution into $LIBS"
    say "fetching Kafka $VERSION with Maven, once (about 54 MB) ..."
    mkdir -p "$HOME_DIR/build"
    cat >"$HOME_DIR/build/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>velostream</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
</project>
POM
    # Into a folder beside, so that an interrupted download is never taken for a whole one.
    rm -rf "$LIBS.part"
    (cd "$HOME_DIR/build" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$LIBS.part") ||
        fail "Maven could not fetch Kafka's jars (see above); it needs access to a Maven repository"
    rm -rf "$LIBS" && mv "$LIBS.part" "$LIBS"
}

# A certificate authority, the broker's certificate signed by it, and the authority as PEM, which librdkafka reads.
certificates() {
    local dir=$RUN/certs
    [ -f "$dir/ca.pem" ] && return
    command -v keytool >/dev/null || fail "keytool is missing; it comes with the JDK (a JRE is not enough)"
    rm -rf "$dir" && mkdir -p "$dir"
    say "making a certificate authority and the broker's certificate ..."
    local pass=(-storepass "$STORE_PASSWORD")
    {
        keytool -genkeypair -alias ca -dname "CN=Velostream demo CA" -keyalg RSA -keysize 2048 -validity 3650 \
            -ext bc:c=ca:true -ext ku:c=keyCertSign,cRLSign -keystore "$dir/ca.p12" -storetype PKCS12 "${pass[@]}"
        keytool -exportcert -rfc -alias ca -keystore "$dir/ca.p12" "${pass[@]}" -file "$dir/ca.part"
        keytool -genkeypair -alias broker -dname "CN=localhost" -keyalg RSA -keysize 2048 -validity 3650 \
            -keystore "$dir/broker.p12" -storetype PKCS12 "${pass[@]}"
        keytool -certreq -alias broker -keystore "$dir/broker.p12" "${pass[@]}" -file "$dir/broker.csr"
        keytool -gencert -alias ca -keystore "$dir/ca.p12" "${pass[@]}" -infile "$dir/broker.csr" -rfc -validity 3650 \
            -ext san=dns:localhost,ip:127.0.0.1 -outfile "$dir/broker.pem"
        keytool -importcert -noprompt -alias ca -file "$dir/ca.part" -keystore "$dir/broker.p12" "${pass[@]}"
        keytool -importcert -noprompt -alias broker -file "$dir/broker.pem" -keystore "$dir/broker.p12" "${pass[@]}"
    } >"$dir/keytool.log" 2>&1 || { cat "$dir/keytool.log" >&2; fail "keytool failed"; }
    mv "$dir/ca.part" "$dir/ca.pem"
}

properties() {
    local listeners="PLAINTEXT://127.0.0.1:$port" map="CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
    if [ $secure = yes ]; then
        listeners+=",SASL_SSL://127.0.0.1:$secure_port"
        map+=",SASL_SSL:SASL_SSL"
    fi
    cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=$listeners,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=${listeners//127.0.0.1/localhost}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=$map
log.dirs=$RUN/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
    [ ${#settings[@]} = 0 ] || printf '%s\n' "${settings[@]}"
    [ $secure = yes ] || return 0
    local plain="org.apache.kafka.common.security.plain.PlainLoginModule required"
    local scram="org.apache.kafka.common.security.scram.ScramLoginModule required"
    cat <<PROPERTIES
ssl.keystore.type=PKCS12
ssl.keystore.location=$RUN/certs/broker.p12
ssl.keystore.password=$STORE_PASSWORD
ssl.key.password=$STORE_PASSWORD
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$plain user_admin="$ADMIN_PASSWORD" user_guest="$GUEST_PASSWORD";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# ANONYMOUS is whoever comes over the plaintext listener of this machine: the broker itself, and you.
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
PROPERTIES
}

# The secured settings as a table of librdkafka's names.
client_settings() {
    cat <<SETTINGS
  bootstrap.servers  localhost:$secure_port
  security.protocol  sasl_ssl
  ssl.ca.location    $RUN/certs/ca.pem
  sasl.mechanism     SCRAM-SHA-512   (or PLAIN)
  sasl.username      admin           (may do everything)   guest           (has no rights)
  sasl.password      $ADMIN_PASSWORD                         $GUEST_PASSWORD
SETTINGS
}

told() {
    port=$(cat "$RUN/port")
    say "Kafka $VERSION $1: localhost:$port"
    say "  try      velo-cli --brokers localhost:$port topic list"
    say "  log      $RUN/server.log"
    say "  stop     $(dirname "$0")/down.sh   (--purge removes its data)"
    if [ -s "$RUN/secure_port" ]; then
        secure_port=$(cat "$RUN/secure_port")
        say "SASL_SSL with ACLs: localhost:$secure_port"
        client_settings
    fi
}

if running; then
    if [ $secure = yes ] && [ ! -s "$RUN/secure_port" ]; then
        say "it runs without the secure listener; restarting it with its data ..."
        port=${port:-$(cat "$RUN/port")}
        "$(dirname "$0")/down.sh"
    else
        [ -z "$port" ] || [ "$port" = "$(cat "$RUN/port")" ] || fail "it already runs on port $(cat "$RUN/port"); stop it first"
        told "is already running"
        exit 0
    fi
fi

need_java
assemble
mkdir -p "$RUN"
if [ -n "$port" ]; then
    is_free "$port" || fail "port $port is taken by another process"
else
    port=$(free_port 9092)
fi
controller_port=$(free_port $((port + 1)))
secure_port=
if [ $secure = yes ]; then
    secure_port=$(free_port $((port + 2)))
    certificates
fi
properties >"$RUN/server.properties"
cat >"$RUN/log4j2.properties" <<'LOG'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
LOG
if [ ! -f "$RUN/data/meta.properties" ]; then
    cluster=$(java -cp "$LIBS/*" kafka.tools.StorageTool random-uuid 2>/dev/null | tail -n 1)
    java -cp "$LIBS/*" kafka.tools.StorageTool format -t "$cluster" -c "$RUN/server.properties" \
        --add-scram "SCRAM-SHA-512=[name=admin,password=$ADMIN_PASSWORD]" \
        --add-scram "SCRAM-SHA-512=[name=guest,password=$GUEST_PASSWORD]" >"$RUN/format.log" 2>&1 ||
        { cat "$RUN/format.log" >&2; fail "the data folder could not be prepared"; }
fi
: >"$RUN/server.log"
nohup java "-Xmx${KAFKA_HEAP:-1g}" "-Dlog4j2.configurationFile=$RUN/log4j2.properties" -cp "$LIBS/*" \
    kafka.Kafka "$RUN/server.properties" >>"$RUN/server.log" 2>&1 </dev/null &
echo $! >"$RUN/pid"
echo "$port" >"$RUN/port"
echo "$secure_port" >"$RUN/secure_port"
[ -n "$secure_port" ] || : >"$RUN/secure_port"
for _ in $(seq $((START_SECONDS_MAX * 5))); do
    grep -q 'Kafka Server started' "$RUN/server.log" && { told "listens"; exit 0; }
    running || { tail -n 20 "$RUN/server.log" >&2; fail "the broker ended; its log is $RUN/server.log"; }
    sleep 0.2
done
tail -n 20 "$RUN/server.log" >&2
fail "the broker did not start within $START_SECONDS_MAX s; its log is $RUN/server.log"
