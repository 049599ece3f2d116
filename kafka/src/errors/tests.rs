//! Golden texts: lines librdkafka 2.12 wrote against Apache Kafka 4.1.1, and what becomes of them.

use super::*;

fn client(settings: &[(&str, &str)]) -> Client {
    let mut client = Client::default();
    for (line, (key, value)) in settings.iter().enumerate() {
        client.settings.insert((*key).into(), (*value).into());
        client.origins.insert((*key).into(), format!("app.sql:{}", line + 1));
    }
    client
}

/// The message about one line a client with these settings heard.
fn check(settings: &[(&str, &str)], line: &str, expect: &str) {
    let reason = Reason::parse(line).expect("a line about a broker");
    assert_eq!(unreachable(&client(settings), &[reason], Duration::from_secs(30)), expect);
}

const PLAIN: (&str, &str) = ("bootstrap.servers", "localhost:9092");

#[test]
fn connection_refused() {
    check(
        &[PLAIN],
        "[thrd:localhost:9092/bootstrap]: localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection \
         refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
        "cannot reach Kafka at localhost:9092 (app.sql:1): connection refused, nothing listens there. Start the broker, or \
         correct the address (--brokers, bootstrap.servers) (waited 30 s)",
    );
}

#[test]
fn unknown_host() {
    check(
        &[("bootstrap.servers", "nosuch.invalid:9092")],
        "nosuch.invalid:9092/bootstrap: Failed to resolve 'nosuch.invalid:9092': Name or service not known (after 1ms in \
         state CONNECT)",
        "cannot reach Kafka at nosuch.invalid:9092 (app.sql:1): the host name is not known here. Check its spelling and the \
         DNS (waited 30 s)",
    );
}

#[test]
fn no_answer() {
    check(
        &[("bootstrap.servers", "10.1.1.1:9092")],
        "10.1.1.1:9092/bootstrap: Connection setup timed out in state CONNECT (after 30028ms in state CONNECT)",
        "cannot reach Kafka at 10.1.1.1:9092 (app.sql:1): no answer. Check the address and whether a firewall drops packets \
         (waited 30 s)",
    );
    let silent = unreachable(&client(&[PLAIN]), &[], Duration::from_millis(1_500));
    assert_eq!(
        silent,
        "no answer from Kafka at localhost:9092 (app.sql:1) within 1.5 s. Check the address and whether a firewall drops \
         packets"
    );
}

#[test]
fn an_advertised_address_that_cannot_be_reached() {
    check(
        &[PLAIN],
        "kafka-0.invalid:9092/1: Failed to resolve 'kafka-0.invalid:9092': Name or service not known (after 1ms in state \
         CONNECT)",
        "Kafka answered at localhost:9092 (app.sql:1), but broker 1 says that its address is kafka-0.invalid:9092, and that \
         cannot be reached from here: the host name is not known. Set advertised.listeners of the broker to an address that \
         this machine can reach, or make kafka-0.invalid reachable from here (an entry in the hosts file, a published \
         container port) (waited 30 s)",
    );
    let line = "GroupCoordinator/GroupCoordinator: kafka-0.invalid:9092: Failed to resolve 'kafka-0.invalid:9092': Name or \
                service not known (after 1ms in state CONNECT)";
    let coordinator = Reason::parse(line).unwrap();
    assert_eq!((coordinator.broker.as_str(), coordinator.cause), ("kafka-0.invalid:9092", Cause::Unresolved));
    let line = "[thrd:GroupCoordinator]: GroupCoordinator: localhost:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection \
                refused (after 0ms in state CONNECT)";
    let coordinator = Reason::parse(line).unwrap();
    assert_eq!((coordinator.broker.as_str(), coordinator.cause), ("localhost:9092", Cause::Refused));
    // A broker that went down is at the address that was given.
    check(
        &[PLAIN],
        "localhost:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
        "cannot reach Kafka at localhost:9092: connection refused, nothing listens there. Start the broker, or correct the \
         address (--brokers, bootstrap.servers) (waited 30 s)",
    );
}

#[test]
fn tls_client_on_a_plaintext_port() {
    check(
        &[PLAIN, ("security.protocol", "ssl")],
        "ssl://localhost:9092/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a \
         PLAINTEXT broker listener? (after 26ms in state SSL_HANDSHAKE)",
        "Kafka at localhost:9092 (app.sql:1) does not speak TLS on this port, but security.protocol = ssl (app.sql:2). Use \
         the broker's TLS port, or set security.protocol = plaintext",
    );
    check(
        &[PLAIN, ("security.protocol", "SASL_SSL")],
        "sasl_ssl://localhost:9092/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state SSL_HANDSHAKE)",
        "Kafka at localhost:9092 (app.sql:1) does not speak TLS on this port, but security.protocol = SASL_SSL (app.sql:2). \
         Use the broker's TLS port, or set security.protocol = sasl_plaintext",
    );
}

#[test]
fn plaintext_client_on_a_tls_port() {
    let expect = "Kafka at localhost:9092 (app.sql:1) closed the connection at the first byte, as ports do that want TLS: \
                  security.protocol = plaintext (the default). Set security.protocol = ssl (or sasl_ssl) and \
                  ssl.ca.location, or use the broker's plaintext port (waited 30 s)";
    for line in [
        "localhost:9092/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 56ms in state \
         APIVERSION_QUERY)",
        "localhost:9092/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
         receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)",
        "localhost:9092/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol \
         configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) (after 1ms in \
         state APIVERSION_QUERY)",
    ] {
        check(&[PLAIN], line, expect);
    }
    let reason = Reason::parse(
        "sasl_plaintext://h:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state \
         APIVERSION_QUERY)",
    );
    let settings = client(&[("bootstrap.servers", "h:1"), ("kafka.security.protocol", "sasl_plaintext")]);
    let told = unreachable(&settings, &[reason.unwrap()], Duration::from_secs(1));
    assert!(
        told.contains("kafka.security.protocol = sasl_plaintext (app.sql:2). Set security.protocol = sasl_ssl"),
        "{told}"
    );
}

#[test]
fn sasl_on_one_side_only() {
    for line in [
        "ssl://localhost:9092/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state UP)",
        "ssl://localhost:9092/bootstrap: Send failed: error:80000020:system library::Broken pipe: tls_retry_write_records \
         failure (after 0ms in state UP)",
    ] {
        check(
            &[PLAIN, ("security.protocol", "ssl")],
            line,
            "Kafka at localhost:9092 (app.sql:1) closed the connection at the first request, as brokers do that want SASL: \
             security.protocol = ssl (app.sql:2). If it does, set security.protocol = sasl_ssl, sasl.mechanism, \
             sasl.username and sasl.password; if not, its log says why (waited 30 s)",
        );
    }
    check(
        &[PLAIN, ("security.protocol", "sasl_plaintext")],
        "sasl_plaintext://localhost:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in \
         current SASL state: broker's supported mechanisms:  (after 0ms in state AUTH_HANDSHAKE)",
        "Kafka at localhost:9092 (app.sql:1) does not use SASL, but security.protocol = sasl_plaintext (app.sql:2). Use its \
         SASL port, or set security.protocol = plaintext",
    );
}

#[test]
fn wrong_credentials() {
    let sasl = [PLAIN, ("security.protocol", "sasl_ssl"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "ann")];
    check(
        &sasl,
        "sasl_ssl://localhost:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or password \
         (after 313ms in state AUTH_REQ)",
        "Kafka at localhost:9092 (app.sql:1) refused the credentials: sasl.username = ann (app.sql:4), mechanism PLAIN: \
         Authentication failed: Invalid username or password. Check sasl.username and sasl.password, and that the user \
         exists for this mechanism",
    );
    check(
        &sasl,
        "sasl_ssl://localhost:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: \
         broker's supported mechanisms: SCRAM-SHA-256,SCRAM-SHA-512 (after 302ms in state AUTH_HANDSHAKE)",
        "Kafka at localhost:9092 (app.sql:1) does not offer sasl.mechanism = PLAIN (app.sql:3). It offers \
         SCRAM-SHA-256,SCRAM-SHA-512: set sasl.mechanism to one of these",
    );
}

#[test]
fn an_untrusted_certificate() {
    let line = "sasl_ssl://localhost:9092/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
                failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or \
                root CA certificates are installed (install ca-certificates package) (after 13ms in state SSL_HANDSHAKE)";
    check(
        &[PLAIN, ("security.protocol", "ssl")],
        line,
        "the certificate of Kafka at localhost:9092 (app.sql:1) could not be verified: ssl.ca.location is not set, so that \
         only this machine's own authorities count, or it names another host. Set ssl.ca.location to a PEM file with the \
         certificate authority of the brokers, and use the host name the certificate was made for",
    );
    check(
        &[PLAIN, ("ssl.ca.location", "ca.pem")],
        line,
        "the certificate of Kafka at localhost:9092 (app.sql:1) could not be verified: ssl.ca.location = ca.pem (app.sql:2) \
         does not hold its issuer, or it names another host. Set ssl.ca.location to a PEM file with the certificate \
         authority of the brokers, and use the host name the certificate was made for",
    );
}

#[test]
fn something_else_listens() {
    check(
        &[PLAIN],
        "localhost:9092/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase \
         receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)",
        "what listens at localhost:9092 (app.sql:1) is not Kafka: its answer begins with \"HTTP\". Check host and port",
    );
}

#[test]
fn a_broker_too_old() {
    check(
        &[PLAIN],
        "localhost:9092/bootstrap: ApiVersionRequest failed: Local: Required feature not supported by broker: probably due to \
         broker version < 0.10 (see api.version.request configuration) (after 1ms in state APIVERSION_QUERY)",
        "Kafka at localhost:9092 is too old: ApiVersionRequest failed: Local: Required feature not supported by broker: \
         probably due to broker version < 0.10 (see api.version.request configuration). Brokers from version 0.11 on are \
         supported (2.4 for the native drivers)",
    );
}

#[test]
fn of_several_brokers_the_most_telling_is_told_and_the_others_named() {
    let lines = [
        "a:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
        "c:1/bootstrap: Disconnected (after 600000ms in state UP)",
    ];
    let reasons: Vec<Reason> = lines.iter().map(|line| Reason::parse(line).unwrap()).collect();
    let told = unreachable(&client(&[("bootstrap.servers", "a:1,b:1,c:1")]), &reasons, Duration::from_secs(30));
    assert!(told.starts_with("Kafka at b:1 (app.sql:1) refused the credentials"), "{told}");
    assert!(told.ends_with(". Also a:1: connection refused"), "{told}");
    assert!(reasons[1].is_lasting() && !reasons[0].is_lasting());
}

#[test]
fn lines_about_no_broker_are_no_reasons() {
    for line in ["2/2 brokers are down", "", "a: b", "[thrd:main]: x", "no: slash/here", "[thrd:a/1]:"] {
        assert_eq!(Reason::parse(line), None, "{line}");
    }
}

#[test]
fn denials_name_principal_resource_and_acl() {
    let sasl = client(&[PLAIN, ("security.protocol", "sasl_ssl"), ("sasl.username", "ann")]);
    assert_eq!(
        denied(&sasl, "Read", "topic", "orders"),
        "User:ann may not Read topic \"orders\" at localhost:9092. Missing ACL: allow User:ann operation Read on topic \
         \"orders\"; whoever administers the brokers adds it with kafka-acls.sh --bootstrap-server localhost:9092 --add \
         --allow-principal 'User:ann' --operation Read --topic orders"
    );
    let told = denied(&client(&[PLAIN]), "Create", "cluster", "");
    assert!(told.starts_with("User:ANONYMOUS may not Create the cluster at localhost:9092"), "{told}");
    assert!(told.ends_with("--operation Create --cluster"), "{told}");
    let tls = client(&[PLAIN, ("security.protocol", "ssl"), ("ssl.certificate.location", "me.pem")]);
    assert!(
        denied(&tls, "Read", "group", "g").starts_with("User:(subject of the client certificate) may not Read group")
    );
}

#[test]
fn unknown_topics_come_with_look_alikes() {
    let check = |topic: &str, existing: &[&str], expect: &str| {
        let existing: Vec<String> = existing.iter().map(|t| (*t).to_owned()).collect();
        let told = unknown_topic(&client(&[PLAIN]), topic, &existing);
        let head = format!("topic \"{topic}\" does not exist at localhost:9092. ");
        let tail = format!(" `velo-cli topic create {topic}` makes it");
        assert_eq!(told.strip_prefix(&head).and_then(|t| t.strip_suffix(&tail)), Some(expect), "{told}");
    };
    check("trade", &["trades", "orders", "__consumer_offsets"], "Did you mean \"trades\"?");
    check("Trades", &["trades", "trades-dlq", "prices"], "Did you mean one of trades, trades-dlq?");
    check("quotes", &["trades"], "`velo-cli topic list` shows those that do.");
    check("x", &[], "There is no topic, or none this user may see.");
}
