//! Looking at a cluster and changing its topics and groups, away from the data path: what the job needs at deploy (the
//! free functions) and what `velo-cli` shows and does.
//!
//! [`Admin`] is one connection with a limit on every wait. Each call blocks its thread, retries what is passing (a
//! leader being elected, a broker restarting) until the limit, and answers a failure with the message of `errors`.
//! Waiting polls the client, so what librdkafka says meanwhile is heard. Split by what is looked at: `topic`, `group`,
//! `sample` (records) and `write` (records by hand).

mod group;
mod sample;
mod topic;
mod write;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use velostream_types::topic::{Client, LogBounds, NewTopic, TopicRecord};
use velostream_types::{Fatal, Remedy};

use crate::config::{self, Role};
use crate::errors::{self, Voice};

pub use group::{GroupInfo, GroupLag, GroupMemberInfo, Moved};
pub use sample::{Read, Reader};
pub use topic::{PartitionInfo, TopicInfo, TopicSetting};
pub use write::{Outgoing, Writer};

/// How long the calls without a limit of their own wait for the brokers.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// One attempt of a retried request; short, so that what went wrong is heard soon.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Pause between attempts, spent listening to the client.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of partitions of a topic; `None` when it does not exist.
pub fn partitions(client: &Client, topic: &str, patience: Duration) -> Result<Option<u32>, Fatal> {
    Admin::open(client, patience)?.partitions(topic)
}

/// Makes a topic that is not there; FALSE when it already was. Returns when all its partitions have a leader.
pub fn create(client: &Client, topic: &NewTopic, patience: Duration) -> Result<bool, Fatal> {
    Admin::open(client, patience)?.create(topic)
}

/// Bounds of a topic's partitions `0 .. partitions`.
pub fn bounds(client: &Client, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal> {
    Admin::open(client, PATIENCE)?.bounds(topic, partitions)
}

/// First offset of each partition whose record is at least that young; `None`: there is none.
pub fn offsets_at(client: &Client, topic: &str, partitions: u32, at_ms: i64) -> Result<Vec<Option<i64>>, Fatal> {
    Admin::open(client, PATIENCE)?.offsets_at(topic, partitions, at_ms)
}

/// The first `per_partition` records of each partition, up to the ends found at the call, by partition and offset.
pub fn sample(client: &Client, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
    Admin::open(client, PATIENCE)?.sample(topic, per_partition)
}

/// A connection to one cluster.
pub struct Admin {
    client: Client,
    patience: Duration,
    consumer: BaseConsumer<Voice>,
}

impl Admin {
    /// A connection whose calls wait up to `patience` each. Nothing is sent yet.
    pub fn open(client: &Client, patience: Duration) -> Result<Admin, Fatal> {
        let config = config::client_config(client, &Role::Admin)?;
        Ok(Admin { client: client.clone(), patience, consumer: consumer(client, &config)? })
    }

    /// The cluster's settings.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Metadata of one topic, or of all.
    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Fatal> {
        self.retry(&self.consumer, ("Describe", "topic", topic.unwrap_or("*")), |wait| {
            self.consumer.fetch_metadata(topic, wait).map(Some)
        })
    }

    /// Calls until it answers something, fails for good, or the patience ends.
    fn retry<T>(
        &self,
        consumer: &BaseConsumer<Voice>,
        needs: (&str, &str, &str),
        mut call: impl FnMut(Duration) -> Result<Option<T>, KafkaError>,
    ) -> Result<T, Fatal> {
        let start = now();
        loop {
            let left = self.patience.saturating_sub(start.elapsed());
            let error = match call(left.min(ATTEMPT).max(PAUSE)) {
                Ok(Some(done)) => {
                    consumer.context().answered();
                    return Ok(done);
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            // What a coordinator refuses, librdkafka tells beside the request, which it lets time out.
            let error = listen(consumer, PAUSE).or(error);
            let lasting = consumer.context().reasons().iter().any(errors::Reason::is_lasting);
            let passing = error.as_ref().is_none_or(|error| is_passing(code(error)));
            if !passing || lasting || start.elapsed() >= self.patience {
                let error = error.unwrap_or(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable));
                return Err(self.failed(consumer, needs, &error, start.elapsed()));
            }
        }
    }

    /// What a failed request means; `needs` are operation, kind and name of the resource it was about.
    fn failed(
        &self,
        consumer: &BaseConsumer<Voice>,
        (operation, resource, name): (&str, &str, &str),
        error: &KafkaError,
        waited: Duration,
    ) -> Fatal {
        use RDKafkaErrorCode as Code;
        // Rounded: nobody waits for 30.012 s.
        let waited = Duration::from_millis(waited.as_millis() as u64 / 100 * 100);
        let reasons = consumer.context().reasons();
        match code(error) {
            Some(Code::TopicAuthorizationFailed) => Fatal::new(errors::denied(&self.client, operation, "topic", name)),
            Some(Code::GroupAuthorizationFailed) => Fatal::new(errors::denied(&self.client, operation, "group", name)),
            Some(Code::ClusterAuthorizationFailed) => {
                Fatal::new(errors::denied(&self.client, operation, "cluster", name))
            }
            Some(Code::UnsupportedVersion | Code::UnsupportedFeature) => {
                Fatal::new(errors::too_old(&self.client, "", &format!("it does not know this request ({error})")))
            }
            code if is_passing(code) && (is_silence(code) || !reasons.is_empty()) => {
                Fatal::new(errors::unreachable(&self.client, &reasons, waited)).with(Remedy::Later)
            }
            code => {
                let said = code.map_or_else(|| error.to_string(), |code| code.to_string());
                let about = if name == "*" { String::new() } else { format!(" for {resource} \"{name}\"") };
                Fatal::new(format!("Kafka at {} refused a request{about}: {said}", self.client.brokers()))
            }
        }
    }

    /// One administrative request through a client of its own.
    fn administer<T, F>(
        &self,
        needs: (&str, &str, &str),
        request: impl FnOnce(&AdminClient<DefaultClientContext>) -> F,
    ) -> Result<T, Fatal>
    where
        F: Future<Output = Result<T, KafkaError>>,
    {
        // A client that answered metadata is the one that can say why this one does not.
        self.metadata(None)?;
        let mut config = config::client_config(&self.client, &Role::Admin)?;
        config.remove("isolation.level");
        let admin: AdminClient<DefaultClientContext> =
            config.create().map_err(|error| config::not_created(&self.client, &error))?;
        let start = now();
        block_on(request(&admin)).map_err(|error| {
            if is_silence(code(&error)) {
                // Its log goes nowhere; the consumer's next request meets the same trouble and tells.
                let _ = self.consumer.fetch_metadata(None, ATTEMPT.min(self.patience));
                listen(&self.consumer, PAUSE);
            }
            self.failed(&self.consumer, needs, &error, start.elapsed())
        })
    }
}

fn consumer(client: &Client, config: &ClientConfig) -> Result<BaseConsumer<Voice>, Fatal> {
    config.create_with_context(Voice::new()).map_err(|error| config::not_created(client, &error))
}

/// Serves what the client has to say for so long; it has no records to give. Answers a refusal among it.
fn listen(consumer: &BaseConsumer<Voice>, wait: Duration) -> Option<KafkaError> {
    use RDKafkaErrorCode as Code;
    let start = now();
    let mut refusal = None;
    loop {
        let left = wait.saturating_sub(start.elapsed());
        // Anything else was heard by the context.
        if let Some(Err(error)) = consumer.poll(left)
            && matches!(code(&error), Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed))
        {
            refusal = Some(error);
        }
        if left.is_zero() {
            return refusal;
        }
    }
}

/// Kafka's code of an error, where it has one.
fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// TRUE for what a retry may mend.
fn is_passing(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    is_silence(code)
        || matches!(
            code,
            Some(
                Code::LeaderNotAvailable
                    | Code::NotLeaderForPartition
                    | Code::UnknownLeaderEpoch
                    | Code::FencedLeaderEpoch
                    | Code::OffsetNotAvailable
                    | Code::CoordinatorNotAvailable
                    | Code::CoordinatorLoadInProgress
                    | Code::NotCoordinator
                    | Code::WaitingForCoordinator
                    | Code::NotController
                    | Code::ReplicaNotAvailable
                    | Code::NetworkException
            )
        )
}

/// TRUE when nobody answered.
fn is_silence(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::MessageTimedOut
                | Code::Resolve
                | Code::Authentication
                | Code::SSL
        )
    )
}

/// Waits for an answer of the admin client, whose own thread brings it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for a network have a limit; nothing below the ports sees it")]
fn now() -> Instant {
    Instant::now()
}
