//! Batches of messages straight from the queue of one partition: the calls of librdkafka that rdkafka does not wrap.
//! What leaves this file is safe: messages are lent to a closure and given back before `take` returns.
//!
//! Each partition has a queue of its own, split off before the consumer is assigned anything, so that librdkafka never
//! forwards it to the consumer's queue: a partition nobody reads fills its queue up to
//! `queued.max.messages.kbytes` and librdkafka stops fetching it, without a pause (which waits for another thread and
//! throws away what was fetched). Cost per message: two calls into librdkafka (take, destroy), no lock that is waited
//! for unless the fetching thread appends at that moment.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr};

use crate::notices::Notices;

/// Messages taken by one call at most: at 100 B a message they are the size of a small slab.
pub(super) const BATCH_MAX: usize = 1_024;

/// Called by librdkafka's threads when a queue is no longer empty.
pub(super) type Nonempty = Box<dyn Fn() + Send + Sync>;

/// The queue of one partition. Keeps the consumer alive, because the queue must not outlive it.
pub(super) struct PartitionQueue {
    queue: *mut RDKafkaQueue,
    topic: CString,
    partition: i32,
    /// Its address is what librdkafka hands to `nonempty`: doubly boxed, since a `dyn` pointer is two words.
    _callback: Box<Nonempty>,
    consumer: Arc<BaseConsumer<Notices>>,
}

// SAFETY: librdkafka's queues and clients may be used from any thread, and `callback` is `Send + Sync`; nothing here
// refers to the thread that made it.
unsafe impl Send for PartitionQueue {}

/// Room for the messages of one call, shared by the partitions of a core.
pub(super) struct Slots(Box<[*mut RDKafkaMessage]>);

// SAFETY: between two calls of `take` the slots hold no message: each is destroyed before `take` returns.
unsafe impl Send for Slots {}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots(vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice())
    }
}

/// What the queue held.
pub(super) enum Event<'a> {
    /// A record.
    Record(Message<'a>),
    /// Everything before this offset was delivered or is not for readers; more may come.
    Eof(i64),
    /// Something is wrong with the partition.
    Error(RDKafkaErrorCode, String),
}

/// A record, valid inside the closure it is handed to.
pub(super) struct Message<'a>(&'a RDKafkaMessage);

impl Message<'_> {
    pub(super) fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Milliseconds; -1 when the record has none.
    pub(super) fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is alive as long as `self` (see `take`); a null type pointer is allowed.
        unsafe { sys::rd_kafka_message_timestamp(self.0, ptr::null_mut()) }
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka points to `key_len` bytes that live until the message is destroyed, or to null.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Appends the headers in the record format; FALSE and nothing appended without any.
    pub(super) fn append_headers(&self, out: &mut Vec<u8>) -> bool {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the list stays its property and lives as long as it does.
        let answer = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
        if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
            return false;
        }
        // SAFETY: `headers` is the live list just received.
        let count = unsafe { sys::rd_kafka_header_cnt(headers) };
        velostream_types::headers::write_count(out, count);
        for at in 0..count {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: `at` is below the count, so that all three are set: the name to a string that ends with a zero,
            // the value to `length` bytes or null, all property of the list.
            let (name, value) = unsafe {
                sys::rd_kafka_header_get_all(headers, at, &mut name, &mut value, &mut length);
                (CStr::from_ptr(name), bytes(value, length))
            };
            velostream_types::headers::write_header(out, name.to_bytes(), value);
        }
        true
    }

    fn event(&self) -> Option<Event<'static>> {
        match self.0.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Some(Event::Eof(self.0.offset)),
            code => {
                // SAFETY: for a message with an error this is a string that ends with a zero and lives as long.
                let text = unsafe { CStr::from_ptr(sys::rd_kafka_message_errstr(self.0)) };
                Some(Event::Error(code.into(), text.to_string_lossy().into_owned()))
            }
        }
    }
}

/// `None` for null, which in Kafka differs from empty.
///
/// SAFETY: `start` is null or points to `length` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

unsafe extern "C" fn nonempty(_: *mut RDKafka, callback: *mut c_void) {
    // SAFETY: `callback` is the address of the `Nonempty` that `PartitionQueue` keeps until it has switched this off.
    let callback = unsafe { &*callback.cast::<Nonempty>() };
    callback();
}

impl PartitionQueue {
    /// Splits the partition's queue off; call it before the consumer is assigned the partition. `callback` is called
    /// whenever the queue was empty and no longer is. `None`: the name is no topic's.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<Notices>>,
        topic: &str,
        partition: u32,
        callback: Nonempty,
    ) -> Option<PartitionQueue> {
        let (topic, partition) = (CString::new(topic).ok()?, i32::try_from(partition).ok()?);
        let mut callback = Box::new(callback);
        let address = ptr::from_mut::<Nonempty>(&mut callback).cast();
        // SAFETY: the consumer is alive, the topic ends with a zero. The queue is ours to destroy (`drop`). Forwarding
        // to null detaches it. `address` stays valid while the callback is enabled: `drop` disables it first.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition);
            if queue.is_null() {
                return None;
            }
            sys::rd_kafka_queue_forward(queue, ptr::null_mut());
            sys::rd_kafka_queue_cb_event_enable(queue, Some(nonempty), address);
            queue
        };
        Some(PartitionQueue { queue, topic, partition, _callback: callback, consumer: Arc::clone(consumer) })
    }

    /// Hands at most `limit` of what waits to `each`, in order, without waiting; answers how many there were.
    pub(super) fn take(&self, slots: &mut Slots, limit: usize, mut each: impl FnMut(Event<'_>)) -> usize {
        let room = limit.min(slots.0.len());
        // SAFETY: there is room for `room` pointers; the queue is alive.
        let taken = unsafe { sys::rd_kafka_consume_batch_queue(self.queue, 0, slots.0.as_mut_ptr(), room) };
        let taken = usize::try_from(taken).unwrap_or(0);
        for message in &slots.0[..taken] {
            // SAFETY: librdkafka filled the first `taken` slots with messages that are ours until they are destroyed.
            let lent = Message(unsafe { &**message });
            match lent.event() {
                Some(event) => each(event),
                None => each(Event::Record(lent)),
            }
            // SAFETY: the first and only time; what was lent cannot have left `each`, whose argument has its lifetime.
            unsafe { sys::rd_kafka_message_destroy(*message) };
        }
        taken
    }

    /// End of the log as the last answer of the broker had it; -1 before the first.
    pub(super) fn log_end(&self) -> i64 {
        let (mut low, mut high) = (-1, -1);
        let client = self.consumer.client().native_ptr();
        // SAFETY: client and topic are alive; the offsets are written before it returns, or not at all.
        unsafe {
            sys::rd_kafka_get_watermark_offsets(client, self.topic.as_ptr(), self.partition, &mut low, &mut high);
        }
        high
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is alive and destroyed once, before the consumer (a field, dropped after this). librdkafka
        // calls back under the queue's lock and this takes it, so that no call is under way when the box goes.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}
