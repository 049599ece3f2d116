//! Commits and their answers: rdkafka's asynchronous commit never tells its outcome (librdkafka answers to a callback that
//! rdkafka does not set), and its synchronous one waits as long as the brokers like. Here answers come to a queue of
//! their own, in the order of the commits.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaQueue, RDKafkaRespErr};

/// The queue of answers. Must go before its consumer does.
pub(super) struct Answers {
    queue: *mut RDKafkaQueue,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Answers {}

impl Answers {
    pub(super) fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Answers {
        // SAFETY: the client is alive; the queue is ours to destroy (`drop`), and `Member` drops it before the consumer.
        Answers { queue: unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) } }
    }

    /// Sends a commit of the consumer this was made for.
    pub(super) fn send<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        offsets: &TopicPartitionList,
    ) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client, list (copied) and queue are alive; without a callback the answer becomes an event.
        let sent = unsafe {
            let client = consumer.client().native_ptr();
            sys::rd_kafka_commit_queue(client, offsets.ptr(), self.queue, None, ptr::null_mut())
        };
        outcome(sent)
    }

    /// The next answer, if it comes within `wait`.
    pub(super) fn next(&self, wait: Duration) -> Option<Result<(), RDKafkaErrorCode>> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is ours until it is destroyed, and the list in it lives as long. The list
        // has `cnt` elements.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue, wait_ms);
            if event.is_null() {
                return None;
            }
            let mut answer = outcome(sys::rd_kafka_event_error(event));
            let list = sys::rd_kafka_event_topic_partition_list(event);
            if !list.is_null() && (*list).cnt > 0 {
                let elements = slice::from_raw_parts((*list).elems, (*list).cnt as usize);
                answer = elements.iter().fold(answer, |answer, element| answer.and_then(|()| outcome(element.err)));
            }
            sys::rd_kafka_event_destroy(event);
            Some(answer)
        }
    }
}

fn outcome(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // SAFETY: alive and destroyed once; answers that come later are dropped by librdkafka, which counts references.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}
