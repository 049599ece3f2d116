//! Names of client settings: which of them belong to one kind of client only, what Java's clients call them, and which
//! of Java's have no counterpart. Data of `config`; nothing here decides anything.

/// What becomes of a setting under one of its other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Java {
    /// The same setting under this name.
    As(&'static str),
    /// This name, and bytes become KiB (rounded up).
    AsKib(&'static str),
    /// This name on consumers and admin clients; on producers the name stays.
    AsUnlessProducer(&'static str),
    /// Without a counterpart and without loss: left out with this remark.
    Ignored(&'static str),
    /// Cannot be taken over: an error that says what to write instead.
    Refused(&'static str),
}

const OPENSSL: &str = "OpenSSL chooses it";
const BLOCKING: &str = "calls never block on it here: a full queue pauses the source";
const FORMATS: &str = "bytes are written and read as `format` and `key.format` say";
const OWN_METRICS: &str = "metrics are Velostream's own";
const TRUST: &str = "Java's trust stores cannot be read. Write ssl.ca.location = <PEM file with the CA certificates>; \
                     `keytool -exportcert -rfc -keystore FILE -alias NAME` prints one";
const OAUTH: &str = "Java classes cannot be loaded. For OAuth write sasl.oauthbearer.* (method, client.id, \
                     client.secret, token.endpoint.url)";

/// Other names of settings: Java's, and librdkafka's second ones, so that each setting has one name. Ascending.
pub const OTHER_NAMES: &[(&str, Java)] = &[
    ("auto.commit.enable", Java::As("enable.auto.commit")),
    ("auto.include.jmx.reporter", Java::Ignored(OWN_METRICS)),
    ("buffer.memory", Java::AsKib("queue.buffering.max.kbytes")),
    ("compression.codec", Java::As("compression.type")),
    ("compression.gzip.level", Java::As("compression.level")),
    ("compression.lz4.level", Java::As("compression.level")),
    ("compression.zstd.level", Java::As("compression.level")),
    ("default.api.timeout.ms", Java::Ignored("each wait has its own limit here (broker.connect.timeout)")),
    ("delivery.timeout.ms", Java::As("message.timeout.ms")),
    ("exclude.internal.topics", Java::Ignored("topics are named, never matched by a pattern")),
    ("fetch.max.wait.ms", Java::As("fetch.wait.max.ms")),
    ("fetch.message.max.bytes", Java::As("max.partition.fetch.bytes")),
    ("interceptor.classes", Java::Ignored("Java classes cannot be loaded")),
    ("key.deserializer", Java::Ignored(FORMATS)),
    ("key.serializer", Java::Ignored(FORMATS)),
    ("max.block.ms", Java::Ignored(BLOCKING)),
    ("max.in.flight", Java::As("max.in.flight.requests.per.connection")),
    ("max.poll.records", Java::Ignored("a poll is as large as a batch (--batch-rows)")),
    ("max.request.size", Java::As("message.max.bytes")),
    ("message.send.max.retries", Java::As("retries")),
    ("metadata.broker.list", Java::As("bootstrap.servers")),
    ("metric.reporters", Java::Ignored(OWN_METRICS)),
    ("metrics.num.samples", Java::Ignored(OWN_METRICS)),
    ("metrics.recording.level", Java::Ignored(OWN_METRICS)),
    ("metrics.sample.window.ms", Java::Ignored(OWN_METRICS)),
    ("queue.buffering.max.ms", Java::As("linger.ms")),
    ("receive.buffer.bytes", Java::As("socket.receive.buffer.bytes")),
    ("request.required.acks", Java::As("acks")),
    ("request.timeout.ms", Java::AsUnlessProducer("socket.timeout.ms")),
    ("sasl.client.callback.handler.class", Java::Refused(OAUTH)),
    (
        "sasl.jaas.config",
        Java::Refused(
            "JAAS is Java's. Write sasl.username = <user> and sasl.password = <password> (with sasl.mechanism = \
             PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)",
        ),
    ),
    ("sasl.login.callback.handler.class", Java::Refused(OAUTH)),
    ("sasl.login.class", Java::Refused(OAUTH)),
    ("sasl.mechanism", Java::As("sasl.mechanisms")),
    ("send.buffer.bytes", Java::As("socket.send.buffer.bytes")),
    ("socket.connection.setup.timeout.max.ms", Java::Ignored("reconnect.backoff.max.ms bounds the attempts")),
    ("ssl.enabled.protocols", Java::Ignored(OPENSSL)),
    ("ssl.keymanager.algorithm", Java::Ignored(OPENSSL)),
    ("ssl.keystore.certificate.chain", Java::As("ssl.certificate.pem")),
    ("ssl.keystore.key", Java::As("ssl.key.pem")),
    ("ssl.protocol", Java::Ignored(OPENSSL)),
    ("ssl.provider", Java::Ignored(OPENSSL)),
    ("ssl.secure.random.implementation", Java::Ignored(OPENSSL)),
    ("ssl.trustmanager.algorithm", Java::Ignored(OPENSSL)),
    ("ssl.truststore.certificates", Java::As("ssl.ca.pem")),
    ("ssl.truststore.location", Java::Refused(TRUST)),
    ("ssl.truststore.password", Java::Refused(TRUST)),
    ("ssl.truststore.type", Java::Refused(TRUST)),
    ("value.deserializer", Java::Ignored(FORMATS)),
    ("value.serializer", Java::Ignored(FORMATS)),
];

/// Settings only consumers have. Ascending.
pub const CONSUMER: &[&str] = &[
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "offset.store.method",
    "offset.store.path",
    "offset.store.sync.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

/// Settings only producers have. Ascending.
pub const PRODUCER: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "compression.type",
    "delivery.report.only.error",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "linger.ms",
    "message.timeout.ms",
    "partitioner",
    "partitioner.class",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queuing.strategy",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// The settings of both that people write, for "did you mean". Ascending.
pub const EITHER: &[&str] = &[
    "allow.auto.create.topics",
    "bootstrap.servers",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "debug",
    "enable.ssl.certificate.verification",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "metadata.max.age.ms",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "statistics.interval.ms",
];

/// Assignors by Java's class names.
pub const ASSIGNORS: &[(&str, &str)] = &[
    ("CooperativeStickyAssignor", "cooperative-sticky"),
    ("RangeAssignor", "range"),
    ("RoundRobinAssignor", "roundrobin"),
];

/// What a name is another name of.
pub fn other_name(key: &str) -> Option<Java> {
    OTHER_NAMES.binary_search_by_key(&key, |(name, _)| name).ok().map(|at| OTHER_NAMES[at].1)
}

/// TRUE for settings only consumers have.
pub fn is_consumer(key: &str) -> bool {
    CONSUMER.binary_search(&key).is_ok()
}

/// TRUE for settings only producers have.
pub fn is_producer(key: &str) -> bool {
    PRODUCER.binary_search(&key).is_ok()
}

/// TRUE when the value must never be shown.
pub fn is_secret(key: &str) -> bool {
    const PARTS: &[&str] = &["password", "passphrase", "secret", "jaas", "token"];
    const WHOLE: &[&str] = &["ssl.key.pem", "ssl.keystore.key", "sasl.oauthbearer.config"];
    let key = key.to_ascii_lowercase();
    let is_address = key.ends_with(".url") || key.ends_with(".location");
    !is_address
        && (PARTS.iter().any(|part| key.contains(part))
            || WHOLE.iter().any(|whole| key.ends_with(whole))
            || key.ends_with("private.key.pem"))
}

/// The known name most like `key`, when one is close.
pub fn look_alike(key: &str) -> Option<&'static str> {
    let others = OTHER_NAMES.iter().map(|(name, _)| name);
    let all = CONSUMER.iter().chain(PRODUCER).chain(EITHER).chain(others).copied();
    let near = all.map(|name| (distance(key, name), name)).min()?;
    (near.0 <= 1 + key.len() / 8).then_some(near.1)
}

/// Single-character edits between two texts.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let changed = corner + usize::from(left != *right);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
