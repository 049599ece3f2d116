//! The context of every client: hears what librdkafka says and keeps it until someone asks.
//!
//! librdkafka speaks from within `poll` on the thread that polls, so the lock is never contended for long. Kept are
//! the latest reason per broker (what `unreachable` tells) and notices for the log, each broker and cause once a
//! minute at most, with the number of times it was held back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Cause, Reason};

/// The same thing is told once in this time.
pub const NOTICE_INTERVAL: Duration = Duration::from_secs(60);
/// Notices nobody fetched are kept up to this number; each is one line.
const NOTICES_MAX: usize = 100;
/// Things remembered as told; lines nobody parses may differ each time.
const TOLD_MAX: usize = 100;

/// What a client said. One per client; usable as its context, or called from a context with more duties.
#[derive(Debug, Default)]
pub struct Voice {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Latest reason per broker address.
    reasons: BTreeMap<String, Reason>,
    /// When each thing was told last, and how often it was held back since; at most [`TOLD_MAX`].
    told: BTreeMap<String, (Instant, u32)>,
    /// A failure was told, its end not yet.
    is_open: bool,
    notices: Vec<String>,
    fatal: Option<String>,
}

impl Voice {
    /// One that heard nothing yet.
    pub fn new() -> Voice {
        Voice::default()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // What is kept is valid at every step; a panic elsewhere does not spoil it.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest reason of each broker that failed since [`Voice::answered`].
    pub fn reasons(&self) -> Vec<Reason> {
        self.heard().reasons.values().cloned().collect()
    }

    /// Lines for the log since the last call.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.heard().notices)
    }

    /// The error after which the client is of no use, once there is one.
    pub fn fatal(&self) -> Option<String> {
        self.heard().fatal.clone()
    }

    /// The brokers answered: reasons are history. Tells so when something was told before. A failure that comes again
    /// within the minute is still the same one: brokers that come and go must not fill the log.
    pub fn answered(&self) {
        let mut heard = self.heard();
        if std::mem::take(&mut heard.reasons).values().any(|reason| reason.cause != Cause::Disconnected)
            && std::mem::take(&mut heard.is_open)
        {
            heard.notices.push("Kafka answers again".to_owned());
        }
    }

    /// Takes a line about a connection, or any other line.
    fn hear(&self, line: &str, now: Instant) {
        let mut heard = self.heard();
        let Some(reason) = Reason::parse(line) else {
            heard.tell(line.to_owned(), format!("Kafka client: {line}"), now);
            return;
        };
        // Brokers close idle connections; librdkafka opens them again when there is something to send.
        if reason.cause != Cause::Disconnected {
            let key = format!("{} {}", reason.broker, reason.short());
            let text = format!("Kafka broker {}: {}; trying again", reason.broker, reason.short());
            heard.tell(key, text, now);
        }
        // A disconnect says less than the reason before it.
        let known = heard.reasons.get(&reason.broker).is_some_and(|old| old.cause < reason.cause);
        if !(known && reason.cause == Cause::Disconnected) {
            heard.reasons.insert(reason.broker.clone(), reason);
        }
    }
}

impl Heard {
    fn tell(&mut self, key: String, text: String, now: Instant) {
        let held = match self.told.get_mut(&key) {
            Some((at, held)) if now.saturating_duration_since(*at) < NOTICE_INTERVAL => {
                *held += 1;
                return;
            }
            Some((_, held)) => *held,
            None => 0,
        };
        if self.told.len() >= TOLD_MAX {
            self.told.retain(|_, (at, _)| now.saturating_duration_since(*at) < NOTICE_INTERVAL);
        }
        if self.told.len() >= TOLD_MAX {
            self.told.pop_first();
        }
        self.told.insert(key, (now, 0));
        self.is_open = true;
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(if held == 0 { text } else { format!("{text} ({held} more times since)") });
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "only how often the log repeats itself depends on it")]
fn now() -> Instant {
    Instant::now()
}

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let loud = (level as i32) <= RDKafkaLogLevel::Warning as i32;
        // Settings of the other role are dropped before; what remains of these is librdkafka's own doing.
        if facility == "FAIL" || (loud && facility != "CONFWARN") {
            self.hear(line, now());
        }
    }

    fn error(&self, error: KafkaError, line: &str) {
        match error {
            KafkaError::Global(RDKafkaErrorCode::Fatal) | KafkaError::MessageConsumptionFatal(_) => {
                self.heard().fatal.get_or_insert_with(|| line.to_owned());
            }
            // The brokers' own lines say which and why; a denial is told by whoever asked.
            KafkaError::Global(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) => {}
            _ if Reason::parse(line).is_some() => self.hear(line, now()),
            KafkaError::Global(
                RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) => {}
            _ => self.hear(line, now()),
        }
    }
}

impl ConsumerContext for Voice {}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str =
        "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";

    #[test]
    fn the_same_is_told_once_a_minute() {
        let (voice, start) = (Voice::new(), now());
        let at = |seconds| start + Duration::from_secs(seconds);
        voice.hear(REFUSED, at(0));
        let told = "Kafka broker localhost:1: connection refused; trying again";
        assert_eq!(voice.notices(), [told]);
        voice.hear(REFUSED, at(1));
        voice.hear(REFUSED, at(59));
        assert_eq!(voice.notices(), [""; 0]);
        voice.hear(&REFUSED.replace("localhost:1/bootstrap", "other:1/2"), at(59));
        assert_eq!(voice.notices().len(), 1, "another broker is another matter");
        voice.hear(REFUSED, at(60));
        assert_eq!(voice.notices(), [format!("{told} (2 more times since)")]);
        assert_eq!(voice.reasons().len(), 2);
    }

    #[test]
    fn an_answer_ends_the_matter() {
        let (voice, start) = (Voice::new(), now());
        voice.answered();
        assert!(voice.notices().is_empty(), "nothing was wrong");
        voice.hear(REFUSED, start);
        voice.notices();
        voice.answered();
        assert_eq!(voice.notices(), ["Kafka answers again"]);
        assert!(voice.reasons().is_empty());
        voice.answered();
        assert!(voice.notices().is_empty(), "its end is told once");
    }

    #[test]
    fn a_broker_that_comes_and_goes_is_told_once_a_minute() {
        let (voice, start) = (Voice::new(), now());
        let mut lines = Vec::new();
        for second in 0..121 {
            voice.hear(REFUSED, start + Duration::from_secs(second));
            voice.answered();
            lines.extend(voice.notices());
        }
        let told = "Kafka broker localhost:1: connection refused; trying again";
        let again = "Kafka answers again";
        let more = format!("{told} (59 more times since)");
        assert_eq!(lines, [told, again, &more, again, &more, again]);
    }

    #[test]
    fn lines_that_differ_each_time_cost_no_memory() {
        let (voice, start) = (Voice::new(), now());
        (0..10_000).for_each(|n| voice.hear(&format!("line {n}"), start + Duration::from_millis(n)));
        let heard = voice.heard();
        assert!(heard.told.len() <= TOLD_MAX && heard.notices.len() <= NOTICES_MAX);
    }

    #[test]
    fn idle_connections_end_in_silence_and_explain_nothing() {
        let (voice, start) = (Voice::new(), now());
        voice.hear(REFUSED, start);
        voice.notices();
        let idle = "localhost:1/bootstrap: Disconnected (after 600000ms in state UP)";
        voice.log(RDKafkaLogLevel::Info, "FAIL", &format!("[thrd:localhost:1/bootstrap]: {idle}"));
        assert!(voice.notices().is_empty());
        assert_eq!(voice.reasons()[0].cause, Cause::Refused);
    }

    #[test]
    fn fatal_errors_are_kept() {
        let voice = Voice::new();
        voice.error(KafkaError::Global(RDKafkaErrorCode::Fatal), "first");
        voice.error(KafkaError::Global(RDKafkaErrorCode::Fatal), "second");
        assert_eq!(voice.fatal().as_deref(), Some("first"));
    }
}
