//! The images a broker can be started from, and the words `docker run` needs for each.
//!
//! A broker tells its clients the address they are to connect to, so it has to know the port of the host before it
//! starts: the same number is used inside and outside.

use std::time::Duration;

/// The variable that chooses.
pub const VARIABLE: &str = "VELOSTREAM_TEST_CONTAINER";
/// Label of the containers that runs share; its value is `true` for those that are kept.
pub const REUSABLE: &str = "velostream.test.reusable";
/// Label with the time of the start, in seconds since 1970.
const STARTED: &str = "velostream.test.started";

/// Port of Kafka's controller, which only the broker beside it connects to.
const CONTROLLER_PORT: u16 = 29_093;
/// Kafka wants 16 bytes in base64; which, matters to nobody.
const CLUSTER_ID: &str = "dmVsb3N0cmVhbS10ZXN0cw";

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Kafka as Confluent packs it.
    Kafka,
    /// Redpanda.
    Redpanda,
}

/// What a container is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its port, inside and outside.
    pub port: u16,
    /// It stays for other runs.
    pub is_kept: bool,
    /// When, since 1970.
    pub at: Duration,
}

impl Image {
    /// The one that the variable's value names.
    pub fn named(value: Option<&str>) -> Result<Image, String> {
        match value {
            None | Some("" | "kafka") => Ok(Image::Kafka),
            Some("redpanda") => Ok(Image::Redpanda),
            Some(other) => Err(format!(
                "{VARIABLE} is \"{other}\", which is no broker that can be started: set it to kafka or redpanda, or unset \
                 it for kafka"
            )),
        }
    }

    /// Its name in the registry.
    pub fn reference(self) -> &'static str {
        match self {
            Image::Kafka => "confluentinc/cp-kafka:7.5.0",
            Image::Redpanda => "redpandadata/redpanda:v23.2.14",
        }
    }

    /// The words of `docker` that start it. The image is there already: a start that pulls could take minutes, and
    /// nobody may interrupt it.
    pub fn run_words(self, start: Start<'_>) -> Vec<String> {
        let Start { name, port, is_kept, at } = start;
        let mut words: Vec<String> = ["run", "--detach", "--pull", "never", "--name", name].map(str::to_owned).into();
        for label in [format!("{REUSABLE}={is_kept}"), format!("{STARTED}={}", at.as_secs())] {
            words.extend(["--label".to_owned(), label]);
        }
        words.extend(["--publish".to_owned(), format!("127.0.0.1:{port}:{port}")]);
        for setting in self.environment(port) {
            words.extend(["--env".to_owned(), setting]);
        }
        words.push(self.reference().to_owned());
        words.extend(self.command(port));
        words
    }

    /// Kafka is configured by variables: one node that is broker and controller, so it has one copy of everything and no
    /// reason to wait for others.
    fn environment(self, port: u16) -> Vec<String> {
        let controller = if port == CONTROLLER_PORT { CONTROLLER_PORT + 1 } else { CONTROLLER_PORT };
        match self {
            Image::Kafka => vec![
                format!("CLUSTER_ID={CLUSTER_ID}"),
                "KAFKA_NODE_ID=1".to_owned(),
                "KAFKA_PROCESS_ROLES=broker,controller".to_owned(),
                format!("KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:{controller}"),
                format!("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:{port}"),
                "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER".to_owned(),
                format!("KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:{controller}"),
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1".to_owned(),
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1".to_owned(),
                "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1".to_owned(),
                "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0".to_owned(),
            ],
            Image::Redpanda => Vec::new(),
        }
    }

    /// Redpanda is configured by its command.
    fn command(self, port: u16) -> Vec<String> {
        match self {
            Image::Kafka => Vec::new(),
            Image::Redpanda => {
                let (listen, told) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
                let words = ["redpanda", "start", "--mode", "dev-container", "--smp", "1", "--kafka-addr", &listen];
                words.into_iter().chain(["--advertise-kafka-addr", &told]).map(str::to_owned).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(image: Image, port: u16, is_kept: bool) -> Vec<String> {
        image.run_words(Start { name: "velo-test-1", port, is_kept, at: Duration::from_millis(1_700_000_000_999) })
    }

    #[test]
    fn kafka_is_configured_by_variables() {
        let expect = "run --detach --pull never --name velo-test-1 --label velostream.test.reusable=false --label \
                      velostream.test.started=1700000000 --publish 127.0.0.1:40001:40001 --env \
                      CLUSTER_ID=dmVsb3N0cmVhbS10ZXN0cw --env KAFKA_NODE_ID=1 --env \
                      KAFKA_PROCESS_ROLES=broker,controller --env \
                      KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:40001,CONTROLLER://127.0.0.1:29093 --env \
                      KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:40001 --env \
                      KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER --env \
                      KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:29093 --env \
                      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT --env \
                      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 --env \
                      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1 --env KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1 \
                      --env KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0 confluentinc/cp-kafka:7.5.0";
        assert_eq!(words(Image::Kafka, 40_001, false).join(" "), expect);
    }

    #[test]
    fn redpanda_is_configured_by_its_command() {
        let expect = "run --detach --pull never --name velo-test-1 --label velostream.test.reusable=true --label \
                      velostream.test.started=1700000000 --publish 127.0.0.1:40001:40001 \
                      redpandadata/redpanda:v23.2.14 redpanda start --mode dev-container --smp 1 --kafka-addr \
                      0.0.0.0:40001 --advertise-kafka-addr 127.0.0.1:40001";
        assert_eq!(words(Image::Redpanda, 40_001, true).join(" "), expect);
    }

    #[test]
    fn the_controller_has_a_port_of_its_own() {
        let words = words(Image::Kafka, 29_093, false);
        let has = |word: &str| words.iter().any(|w| w == word);
        assert!(has("KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:29093,CONTROLLER://127.0.0.1:29094"), "{words:?}");
        assert!(has("KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:29094"), "{words:?}");
    }

    #[test]
    fn a_variable_chooses() {
        assert_eq!(Image::named(None), Ok(Image::Kafka));
        assert_eq!(Image::named(Some("")), Ok(Image::Kafka));
        assert_eq!(Image::named(Some("kafka")), Ok(Image::Kafka));
        assert_eq!(Image::named(Some("redpanda")), Ok(Image::Redpanda));
        let why = Image::named(Some("rabbit")).expect_err("no such broker");
        assert!(
            why.starts_with("VELOSTREAM_TEST_CONTAINER is \"rabbit\"") && why.contains("kafka or redpanda"),
            "{why}"
        );
    }
}
