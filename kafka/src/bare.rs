//! A consumer and nothing around it: partitions assigned from their starts, records in batches. It is the hand-written
//! program that the drivers of this crate are measured against (`examples/pipe.rs`); the engine does not use it.
//!
//! All partitions come from one queue. It is not the consumer's own, where commits and errors come too: rdkafka asks for
//! these as events, and the batch call ends the process when it meets one. Cost per record: librdkafka's share, one call into the closure and one to give the record back.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::{RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Records taken by one call at most.
const BATCH_MAX: usize = 1_024;

/// A record, valid inside the closure it is handed to.
#[derive(Clone, Copy, Debug)]
pub struct BareRecord<'a> {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Empty for null.
    pub value: &'a [u8],
}

/// A consumer of some partitions of one topic.
pub struct BareConsumer {
    queue: *mut RDKafkaQueue,
    slots: Box<[*mut RDKafkaMessage]>,
    consumer: BaseConsumer,
}

impl BareConsumer {
    /// Assigns partitions 0 to `partitions` from their first records.
    pub fn open(config: &ClientConfig, topic: &str, partitions: i32) -> KafkaResult<BareConsumer> {
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        let name = CString::new(topic)?;
        // SAFETY: the client is a living consumer, the name ends with a zero; the queue is ours to destroy (`drop`), and
        // so is the handle of each partition's, which stays forwarded.
        let queue = unsafe {
            let native = consumer.client().native_ptr();
            let queue = sys::rd_kafka_queue_new(native);
            for partition in 0..partitions {
                let own = sys::rd_kafka_queue_get_partition(native, name.as_ptr(), partition);
                if !own.is_null() {
                    sys::rd_kafka_queue_forward(own, queue);
                    sys::rd_kafka_queue_destroy(own);
                }
            }
            queue
        };
        consumer.assign(&list)?;
        Ok(BareConsumer { queue, slots: vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice(), consumer })
    }

    /// End of each partition now.
    pub fn ends(&self, topic: &str, partitions: i32, patience: Duration) -> KafkaResult<Vec<i64>> {
        let end = |partition| Ok(self.consumer.fetch_watermarks(topic, partition, patience)?.1);
        (0..partitions).map(end).collect()
    }

    /// Hands what waits to `each`, waiting up to `wait` for the first record; answers how many there were. A wait is
    /// for one record only: the batch call would wait until its batch is full.
    pub fn take(&mut self, wait: Duration, mut each: impl FnMut(BareRecord<'_>)) -> KafkaResult<usize> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let mut taken = self.call(0, BATCH_MAX);
        if taken == 0 && wait_ms > 0 {
            taken = self.call(wait_ms, 1);
        }
        // Commits and errors, never records.
        self.consumer.poll(Duration::ZERO).transpose()?;
        let mut failed = None;
        for slot in &self.slots[..taken] {
            // SAFETY: librdkafka filled the first `taken` slots with messages that are ours until they are destroyed.
            let message = unsafe { &**slot };
            match message.err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    // SAFETY: librdkafka points to `len` bytes that live until the message is destroyed, or to null.
                    let value = unsafe { bytes(message.payload, message.len) };
                    each(BareRecord { partition: message.partition, offset: message.offset, value });
                }
                code => failed = Some(KafkaError::MessageConsumption(RDKafkaErrorCode::from(code))),
            }
            // SAFETY: the first and only time; the closure's argument cannot have left the closure.
            unsafe { sys::rd_kafka_message_destroy(*slot) };
        }
        failed.map_or(Ok(taken), Err)
    }

    fn call(&mut self, wait_ms: i32, limit: usize) -> usize {
        let room = limit.min(self.slots.len());
        // SAFETY: there is room for `room` pointers; the queue is alive.
        let taken = unsafe { sys::rd_kafka_consume_batch_queue(self.queue, wait_ms, self.slots.as_mut_ptr(), room) };
        usize::try_from(taken).unwrap_or(0)
    }
}

/// SAFETY: `start` is null or points to `length` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    if start.is_null() { &[] } else { unsafe { slice::from_raw_parts(start.cast(), length) } }
}

impl Drop for BareConsumer {
    fn drop(&mut self) {
        // SAFETY: the queue is alive and destroyed once, before the consumer (a field, dropped after this).
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}
