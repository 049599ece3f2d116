//! The mistakes everyone makes once with the address of a cluster: TLS where there is none, none where there is, and
//! brokers that tell clients an address nobody can reach. What a run says of them, word for word.
//!
//! Those that need users, certificates and ACLs are in `kafka/conformance/secure.sh`, against Apache Kafka.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use velostream_broker::{Broker, BrokerConfig};

use super::world::{broker, run, topic};

const APP: &str = "SET 'broker.connect.timeout' = '2s';
    CREATE STREAM t (v INT) WITH (type = 'kafka', topic = 't', format = 'json' PROTOCOL);
    CREATE STREAM out AS SELECT v FROM t WITH ('out.type' = 'kafka', 'out.topic' = 'out');";

/// The error of a run on these brokers, the only line it may say; they are `BROKERS` in `expect`.
fn check(brokers: &str, protocol: &str, expect: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), APP.replace("PROTOCOL", protocol)).expect("the app");
    let output = run(folder.path(), "app.sql", brokers, &["--until-end"]).output().expect("velo-sql starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    // What passes by itself is waited for; how long is not ours to say to the tenth of a second.
    let said = said.trim_end().split(" (waited ").next().unwrap_or_default();
    assert_eq!(said.replace(brokers, "BROKERS"), format!("error: {expect}"));
}

#[test]
fn tls_on_a_port_without() {
    let broker = broker();
    check(
        &broker.bootstrap(),
        ", 'security.protocol' = 'ssl'",
        "Kafka at BROKERS (--brokers) does not speak TLS on this port, but security.protocol = ssl (app.sql:2). Use the \
         broker's TLS port, or set security.protocol = plaintext",
    );
}

#[test]
fn no_tls_on_a_port_that_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // To a TLS server a request is a record of an unknown type: it answers with a fatal alert, unexpected_message.
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 10]);
        }
    });
    check(
        &address,
        "",
        "Kafka at BROKERS (--brokers) closed the connection at the first byte, as ports do that want TLS: security.protocol \
         = plaintext (the default). Set security.protocol = ssl (or sasl_ssl) and ssl.ca.location, or use the broker's \
         plaintext port",
    );
}

#[test]
fn an_advertised_address_that_nobody_knows() {
    // A name with an empty part is unknown without asking any server.
    let folder = tempfile::tempdir().expect("a folder");
    let config = BrokerConfig { dir: Some(folder.path().to_owned()), ..BrokerConfig::default() };
    let reachable = Broker::start(config.clone()).expect("a free port");
    topic(&reachable.bootstrap(), "t", 1);
    reachable.stop();
    let config = BrokerConfig { advertised_host: Some("kafka-0..internal".to_owned()), ..config };
    let broker = Broker::start(config).expect("a free port");
    let brokers = broker.bootstrap();
    let (_, port) = brokers.rsplit_once(':').expect("an address");
    check(
        &brokers,
        "",
        &format!(
            "Kafka answered at BROKERS (--brokers), but broker 1 says that its address is kafka-0..internal:{port}, and that \
             cannot be reached from here: the host name is not known. Set advertised.listeners of the broker to an \
             address that this machine can reach, or make kafka-0..internal reachable from here (an entry in the hosts \
             file, a published container port)"
        ),
    );
}
