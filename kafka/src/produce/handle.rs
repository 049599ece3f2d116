//! A producer's calls into librdkafka without rdkafka's detours: a record is handed over with its topic's handle (rdkafka
//! copies the name for each), and delivery reports are read in place (rdkafka collects each event's into a vector).
//!
//! librdkafka copies key, value and headers before `send` returns. Nothing here waits but `serve` with a wait above 0.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::{RDKafka, RDKafkaHeaders, RDKafkaQueue, RDKafkaRespErr, RDKafkaTopic, RDKafkaType};

use velostream_types::headers::Headers;

use crate::notices::Notices;

/// The partition follows from the key, or is chosen without one.
const ANY_PARTITION: i32 = -1;

type Callback = Box<dyn Fn() + Send + Sync>;

/// A connection to a cluster for writing.
pub(super) struct Handle {
    topics: Vec<*mut RDKafkaTopic>,
    queue: *mut RDKafkaQueue,
    /// Its address is what librdkafka hands to `nonempty`: doubly boxed, since a `dyn` pointer is two words.
    _callback: Box<Callback>,
    client: Client<Notices>,
}

// SAFETY: librdkafka's clients, topics and queues may be used from any thread, and the callback is `Send + Sync`.
unsafe impl Send for Handle {}

/// A record on its way out.
pub(super) struct Outgoing<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// Milliseconds; `None`: now.
    pub(super) timestamp_ms: Option<i64>,
    pub(super) headers: Option<HeaderList>,
    /// Comes back in the delivery report.
    pub(super) group: u64,
    /// Comes back, too: nothing else was under way when it was sent.
    pub(super) is_alone: bool,
}

/// Set in what comes back of a record that was sent alone; groups are counted from 0 and never get there.
const ALONE: u64 = 1 << 63;

/// Headers in librdkafka's own form.
pub(super) struct HeaderList(*mut RDKafkaHeaders);

impl HeaderList {
    pub(super) fn new() -> HeaderList {
        // SAFETY: makes a list that is ours until it is destroyed or sent.
        HeaderList(unsafe { sys::rd_kafka_headers_new(4) })
    }

    pub(super) fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (start, length) = parts(value);
        // SAFETY: the list is ours; key and value are copied. Lengths of slices fit isize; a null value has length 0.
        unsafe {
            sys::rd_kafka_header_add(self.0, key.as_ptr().cast(), key.len() as isize, start, length as isize);
        }
    }
}

/// Headers in the record format as a list, and whether all of them could be read.
pub(super) fn header_list(encoded: &[u8]) -> (HeaderList, bool) {
    let (mut list, mut read) = (HeaderList::new(), Headers::new(encoded));
    read.by_ref().for_each(|(key, value)| list.add(key, value));
    (list, read.is_whole())
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: still ours: `Handle::send` forgets a list that librdkafka took.
        unsafe { sys::rd_kafka_headers_destroy(self.0) }
    }
}

/// A delivery report, valid inside the closure it is handed to.
pub(super) struct Report<'a> {
    pub(super) group: u64,
    pub(super) is_alone: bool,
    pub(super) error: Option<RDKafkaErrorCode>,
    pub(super) topic: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// Of records that were not written.
    pub(super) timestamp_ms: Option<i64>,
    message: *const sys::rd_kafka_message_t,
}

impl Report<'_> {
    /// Sends the record again behind what waits, as it was.
    pub(super) fn resend(&self, handle: &Handle) -> Result<(), RDKafkaErrorCode> {
        let headers = self.list().map(|list| {
            // SAFETY: the list is alive inside the closure; the copy is ours.
            HeaderList(unsafe { sys::rd_kafka_headers_copy(list) })
        });
        // SAFETY: the message is alive inside the closure; its topic handle is one of ours.
        let topic = unsafe { (*self.message).rkt };
        let (timestamp_ms, group) = (self.timestamp_ms, self.group);
        let record = Outgoing { key: self.key, value: self.value, timestamp_ms, headers, group, is_alone: false };
        handle.enqueue(topic, self.partition(), record)
    }

    pub(super) fn partition(&self) -> i32 {
        // SAFETY: the message is alive inside the closure.
        unsafe { (*self.message).partition }
    }

    /// The headers in the record format.
    pub(super) fn headers(&self) -> Option<Vec<u8>> {
        let list = self.list()?;
        // SAFETY: the list is alive inside the closure.
        let count = unsafe { sys::rd_kafka_header_cnt(list) };
        let mut out = Vec::new();
        velostream_types::headers::write_count(&mut out, count);
        for at in 0..count {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: `at` is below the count, so that all three are set: the name to a string that ends with a zero,
            // the value to `length` bytes or null, all property of the list.
            let (name, value) = unsafe {
                sys::rd_kafka_header_get_all(list, at, &mut name, &mut value, &mut length);
                (CStr::from_ptr(name), bytes(value, length))
            };
            velostream_types::headers::write_header(&mut out, name.to_bytes(), value);
        }
        Some(out)
    }

    fn list(&self) -> Option<*mut RDKafkaHeaders> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive inside the closure; the list stays its property and lives as long as it does.
        let found = unsafe { sys::rd_kafka_message_headers(self.message, &mut list) };
        (found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && !list.is_null()).then_some(list)
    }
}

unsafe extern "C" fn nonempty(_: *mut RDKafka, callback: *mut c_void) {
    // SAFETY: `callback` is the address of the box that `Handle` keeps until it has switched this off.
    let callback = unsafe { &*callback.cast::<Callback>() };
    callback();
}

/// Null for `None`, which in Kafka differs from empty.
fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

/// SAFETY: `start` is null or points to `length` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

impl Handle {
    /// Makes the client; it connects in the background. `callback` is called when reports wait.
    pub(super) fn new(
        config: &ClientConfig,
        notices: Notices,
        topics: &[String],
        callback: Callback,
    ) -> KafkaResult<Handle> {
        let native = config.create_native_config()?;
        let events = sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_STATS | sys::RD_KAFKA_EVENT_ERROR;
        // SAFETY: the configuration is alive and not yet used.
        unsafe { sys::rd_kafka_conf_set_events(native.ptr(), events) };
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, notices)?;
        let mut callback = Box::new(callback);
        let address = ptr::from_mut::<Callback>(&mut callback).cast();
        // SAFETY: the client is alive; the queue is ours to destroy (`drop`), and `address` stays valid until then.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_main(client.native_ptr());
            sys::rd_kafka_queue_cb_event_enable(queue, Some(nonempty), address);
            queue
        };
        let mut handle = Handle { topics: Vec::new(), queue, _callback: callback, client };
        for topic in topics {
            let name = CString::new(topic.as_str())?;
            // SAFETY: client and name are alive; a null configuration means that of the client.
            let topic = unsafe { sys::rd_kafka_topic_new(handle.client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
            if topic.is_null() {
                return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::InvalidTopic));
            }
            handle.topics.push(topic);
        }
        Ok(handle)
    }

    pub(super) fn client(&self) -> &Client<Notices> {
        &self.client
    }

    pub(super) fn notices(&self) -> &Notices {
        self.client.context()
    }

    /// Hands a record over; its partition follows from the key.
    pub(super) fn send(&self, topic: usize, record: Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
        self.enqueue(self.topics[topic], ANY_PARTITION, record)
    }

    /// Hands a record over for a partition.
    pub(super) fn send_to(
        &self,
        (topic, partition): (usize, i32),
        record: Outgoing<'_>,
    ) -> Result<(), RDKafkaErrorCode> {
        self.enqueue(self.topics[topic], partition, record)
    }

    fn enqueue(&self, topic: *mut RDKafkaTopic, partition: i32, record: Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
        use sys::rd_kafka_vtype_t as V;
        let Outgoing { key, value, timestamp_ms, headers, group, is_alone } = record;
        let opaque = if is_alone { group | ALONE } else { group };
        let ((key, key_len), (value, value_len)) = (parts(key), parts(value));
        let list = headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0);
        // SAFETY: each tag is followed by the arguments librdkafka reads for it, in C's types: pointers, int, size_t,
        // int64. All pointers are alive; key and value are copied (F_COPY) before it returns. The opaque is a number.
        let answer = unsafe {
            sys::rd_kafka_producev(
                self.client.native_ptr(),
                V::RD_KAFKA_VTYPE_RKT,
                topic,
                V::RD_KAFKA_VTYPE_PARTITION,
                partition,
                V::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                V::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                V::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                V::RD_KAFKA_VTYPE_OPAQUE,
                ptr::without_provenance_mut::<c_void>(opaque as usize),
                V::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp_ms.unwrap_or(0),
                V::RD_KAFKA_VTYPE_HEADERS,
                list,
                V::RD_KAFKA_VTYPE_END,
            )
        };
        if answer == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            // The list is librdkafka's now.
            std::mem::forget(headers);
            return Ok(());
        }
        Err(answer.into())
    }

    /// Hands what waits, and what comes within `wait`, to `each`; answers whether there was anything.
    pub(super) fn serve(&self, wait: Duration, mut each: impl FnMut(Report<'_>)) -> bool {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is ours to destroy.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, wait_ms) };
        if event.is_null() {
            return false;
        }
        // SAFETY: `event` is alive until it is destroyed at the end of this block; what is read from it lives as long,
        // and the closure's argument cannot leave the closure.
        unsafe {
            match sys::rd_kafka_event_type(event) {
                sys::RD_KAFKA_EVENT_DR => loop {
                    let message = sys::rd_kafka_event_message_next(event);
                    if message.is_null() {
                        break;
                    }
                    each(report(message));
                },
                sys::RD_KAFKA_EVENT_STATS => {
                    self.notices().stats_raw(CStr::from_ptr(sys::rd_kafka_event_stats(event)).to_bytes());
                }
                sys::RD_KAFKA_EVENT_ERROR => {
                    let text = CStr::from_ptr(sys::rd_kafka_event_error_string(event)).to_string_lossy();
                    self.notices().error(KafkaError::Global(sys::rd_kafka_event_error(event).into()), &text);
                }
                sys::RD_KAFKA_EVENT_LOG => self.log(event),
                _ => {}
            }
            sys::rd_kafka_event_destroy(event);
        }
        true
    }

    /// SAFETY: `event` is a live log event.
    unsafe fn log(&self, event: *mut sys::rd_kafka_event_t) {
        let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: with answer 0 both are strings that end with a zero and live as long as the event.
        unsafe {
            if sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                let (facility, text) = (CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(text));
                let level = match level {
                    0..=2 => RDKafkaLogLevel::Critical,
                    3 => RDKafkaLogLevel::Error,
                    _ => RDKafkaLogLevel::Info,
                };
                self.notices().log(level, &facility, &text.to_string_lossy());
            }
        }
    }

    /// What waits for `linger.ms` is sent now.
    pub(super) fn hurry(&self) {
        // SAFETY: the client is alive; with 0 ms it only rouses the sending threads. Its answer, "not yet", is known.
        unsafe {
            sys::rd_kafka_flush(self.client.native_ptr(), 0);
        }
    }
}

/// SAFETY: `message` is one of a live delivery report event, which outlives `'a`, and nobody else refers to it.
unsafe fn report<'a>(message: *const sys::rd_kafka_message_t) -> Report<'a> {
    // SAFETY: the caller's promise.
    let timestamp_ms = unsafe { timestamp_of_failed(message.cast_mut()) };
    // SAFETY: topic, key and value are the message's and live as long; a topic's name is ASCII and ends with a zero.
    let (message, topic, key, value) = unsafe {
        let lent = &*message;
        let topic = CStr::from_ptr(sys::rd_kafka_topic_name(lent.rkt));
        let (key, value) = (bytes(lent.key, lent.key_len), bytes(lent.payload, lent.len));
        (lent, topic.to_str().unwrap_or_default(), key, value)
    };
    let is_fine = message.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    let error = (!is_fine).then(|| message.err.into());
    let opaque = message._private.addr() as u64;
    let (group, is_alone) = (opaque & !ALONE, opaque & ALONE != 0);
    Report { group, is_alone, error, topic, key, value, timestamp_ms, message }
}

/// The timestamp of a message that was not written. librdkafka keeps it to itself while the message has an error, so that
/// the error is taken off for the question.
///
/// SAFETY: `message` is alive, and nobody else refers to it.
unsafe fn timestamp_of_failed(message: *mut sys::rd_kafka_message_t) -> Option<i64> {
    // SAFETY: the caller's promise; a report's message is the application's alone, in memory that librdkafka allocated to
    // be written to. A null type pointer is allowed.
    let timestamp_ms = unsafe {
        let error = (*message).err;
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        (*message).err = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let timestamp_ms = sys::rd_kafka_message_timestamp(message, ptr::null_mut());
        (*message).err = error;
        timestamp_ms
    };
    (timestamp_ms >= 0).then_some(timestamp_ms)
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: each is alive, ours, and destroyed once, before the client (a field, dropped after this). librdkafka
        // calls back under the queue's lock and disabling takes it, so that no call is under way when the box goes.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
            self.topics.iter().for_each(|topic| sys::rd_kafka_topic_destroy(*topic));
        }
    }
}
