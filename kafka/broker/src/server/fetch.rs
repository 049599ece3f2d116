//! Fetch: stored batches go out as they lie, behind a frame written here by hand (the generated encoder would copy
//! them). Waits until enough is there, an error is to be told, or the client's time is over.
//!
//! Fetch sessions are answered with session 0, which tells a client to send full fetches.
//! Cost: per partition one lock and about 50 bytes; per stored run of batches one reference, no copy.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;

use super::connection::{Call, Reply};
use super::now_ms;
use crate::errors;
use crate::store::Read;
use crate::topics::{Leader, Partition, Waiter, lock};

/// Longest wait; a client that asks for more is answered early, which it must expect anyway.
const WAIT_MS_MAX: i32 = 300_000;

/// Most bytes of one answer, as with Apache Kafka's `fetch.max.bytes` of a broker; a first batch may be larger.
const ANSWER_BYTES_MAX: usize = 55 << 20;

/// What one partition gives.
struct Given {
    index: i32,
    error: i16,
    read: Read,
}

/// What one pass over all partitions gives.
#[derive(Default)]
struct Pass {
    topics: Vec<Vec<Given>>,
    bytes: usize,
    failed: bool,
}

pub(crate) fn fetch(call: &Call<'_>, request: &FetchRequest) -> Reply {
    if call.version >= 7 && request.session_id != 0 {
        return Reply::Frame(encode(call, request, &Pass::default(), errors::FETCH_SESSION_ID_NOT_FOUND));
    }
    let pass = wait_for(call, request);
    count(call, &pass);
    Reply::Frame(encode(call, request, &pass, errors::NONE))
}

/// Reads until `min_bytes` are there, something fails, or `max_wait_ms` are over.
fn wait_for(call: &Call<'_>, request: &FetchRequest) -> Pass {
    let enough = |pass: &Pass| pass.failed || pass.bytes >= usize::try_from(request.min_bytes).unwrap_or(0);
    let pass = read_all(call, request);
    let wait_ms = i64::from(request.max_wait_ms.clamp(0, WAIT_MS_MAX));
    if enough(&pass) || wait_ms == 0 {
        return pass;
    }
    let deadline_ms = now_ms() + wait_ms;
    let waiter = Arc::new(Waiter::default());
    let partitions: Vec<Arc<Partition>> = request
        .topics
        .iter()
        .filter_map(|topic| Some((call.shared.topics.get(&topic.topic)?, topic)))
        .flat_map(|(topic, wanted)| {
            wanted.partitions.iter().filter_map(|p| topic.partition(p.partition).cloned()).collect::<Vec<_>>()
        })
        .collect();
    let pass = loop {
        // Watched before read: an append in between wakes the waiter already.
        partitions.iter().for_each(|partition| partition.watch(&waiter));
        let pass = read_all(call, request);
        let left_ms = deadline_ms - now_ms();
        if enough(&pass) || left_ms <= 0 || call.shared.stopping() {
            break pass;
        }
        waiter.wait(Duration::from_millis(left_ms as u64));
        partitions.iter().for_each(|partition| partition.unwatch(&waiter));
    };
    partitions.iter().for_each(|partition| partition.unwatch(&waiter));
    pass
}

fn read_all(call: &Call<'_>, request: &FetchRequest) -> Pass {
    let mut pass = Pass::default();
    let budget = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    for wanted in &request.topics {
        let topic = call.shared.topics.get(&wanted.topic);
        let mut given = Vec::with_capacity(wanted.partitions.len());
        for want in &wanted.partitions {
            let partition = topic.as_ref().and_then(|topic| topic.partition(want.partition));
            let left = budget.saturating_sub(pass.bytes);
            let result = match partition {
                None => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                Some(partition) => read_one(call, partition, want, left, pass.bytes == 0, request.isolation_level == 1),
            };
            let (error, read) = match result {
                Ok(read) => (errors::NONE, read),
                Err(error) => (error, Read { high_watermark: -1, last_stable: -1, log_start: -1, ..Read::default() }),
            };
            pass.failed |= error != errors::NONE;
            pass.bytes += read.bytes;
            given.push(Given { index: want.partition, error, read });
        }
        pass.topics.push(given);
    }
    pass
}

/// Kafka's codes for a client whose idea of the leader's epoch differs from ours; -1 is no idea.
pub(crate) fn check_epoch(leader: Leader, theirs: i32) -> Result<(), i16> {
    match theirs {
        epoch if epoch < 0 || epoch == leader.epoch => Ok(()),
        epoch if epoch < leader.epoch => Err(errors::FENCED_LEADER_EPOCH),
        _ => Err(errors::UNKNOWN_LEADER_EPOCH),
    }
}

fn read_one(
    call: &Call<'_>,
    partition: &Partition,
    want: &FetchPartition,
    budget: usize,
    first: bool,
    committed: bool,
) -> Result<Read, i16> {
    let log = lock(&partition.log);
    if partition.deleted() {
        return Err(errors::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let leader = partition.leader();
    if leader.node != call.node {
        return Err(errors::NOT_LEADER_OR_FOLLOWER);
    }
    if call.version >= 9 {
        check_epoch(leader, want.current_leader_epoch)?;
    }
    let limit = usize::try_from(want.partition_max_bytes).unwrap_or(0).min(budget);
    let result = log.read(want.fetch_offset, limit, first, committed);
    drop(log);
    let mut read = result.map_err(|error| {
        if error.code() == errors::KAFKA_STORAGE_ERROR {
            call.shared.log(&format!("partition {}: {error}", partition.index));
        }
        error.code()
    })?;
    if call.met.short_read_bytes > 0 {
        cut_last_batch(&mut read);
    }
    Ok(read)
}

/// Takes away the second half of the last batch, if it is not the only one: what a broker may do and a client must bear.
fn cut_last_batch(read: &mut Read) {
    let count = read.batches.len();
    let Some(last) = read.batches.last_mut() else { return };
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(length) = last.get(at + 8..at + 12) {
        starts.push(at);
        at += 12 + length.try_into().map_or(0, u32::from_be_bytes) as usize;
    }
    let Some(start) = starts.last().copied().filter(|start| *start > 0 || count > 1) else { return };
    let kept = start + (last.len() - start) / 2;
    read.bytes -= last.len() - kept;
    last.truncate(kept);
}

fn encode(call: &Call<'_>, request: &FetchRequest, pass: &Pass, error: i16) -> Vec<Bytes> {
    let mut head = BytesMut::with_capacity(128 + 64 * pass.topics.iter().map(Vec::len).sum::<usize>());
    // Where stored batches follow the bytes written so far.
    let mut runs: Vec<(usize, &Bytes)> = Vec::new();
    head.put_i32(0);
    head.put_i32(call.correlation);
    head.put_i32(call.met.throttle_ms as i32);
    if call.version >= 7 {
        head.put_i16(error);
        head.put_i32(0);
    }
    head.put_i32(pass.topics.len() as i32);
    for (wanted, given) in request.topics.iter().zip(&pass.topics) {
        head.put_i16(wanted.topic.len() as i16);
        head.put_slice(wanted.topic.as_bytes());
        head.put_i32(given.len() as i32);
        for given in given {
            encode_partition(call, request, given, &mut head);
            runs.extend(given.read.batches.iter().map(|run| (head.len(), run)));
        }
    }
    let total = head.len() + runs.iter().map(|(_, run)| run.len()).sum::<usize>() - 4;
    head[..4].copy_from_slice(&(total as i32).to_be_bytes());
    let head = head.freeze();
    let mut parts = Vec::with_capacity(2 * runs.len() + 1);
    let mut done = 0;
    for (at, run) in runs {
        if at > done {
            parts.push(head.slice(done..at));
            done = at;
        }
        parts.push(run.clone());
    }
    if done < head.len() {
        parts.push(head.slice(done..));
    }
    parts
}

fn encode_partition(call: &Call<'_>, request: &FetchRequest, given: &Given, head: &mut BytesMut) {
    let read = &given.read;
    head.put_i32(given.index);
    head.put_i16(given.error);
    head.put_i64(read.high_watermark);
    head.put_i64(read.last_stable);
    if call.version >= 5 {
        head.put_i64(read.log_start);
    }
    if request.isolation_level == 1 {
        head.put_i32(read.aborted.len() as i32);
        for aborted in &read.aborted {
            head.put_i64(aborted.producer_id);
            head.put_i64(aborted.first_offset);
        }
    } else {
        head.put_i32(-1);
    }
    if call.version >= 11 {
        head.put_i32(-1);
    }
    head.put_i32(read.bytes as i32);
}

/// Counts what goes out: each batch names its number of records.
fn count(call: &Call<'_>, pass: &Pass) {
    let mut records = 0u64;
    for read in pass.topics.iter().flatten().map(|given| &given.read) {
        for run in &read.batches {
            let mut at = 0;
            while let (Some(length), Some(count)) = (run.get(at + 8..at + 12), run.get(at + 57..at + 61)) {
                records += u64::from(count.try_into().map_or(0, u32::from_be_bytes));
                at += 12 + length.try_into().map_or(0, u32::from_be_bytes) as usize;
            }
        }
    }
    call.shared.counters.records_out.fetch_add(records, Ordering::Relaxed);
    call.shared.counters.bytes_out.fetch_add(pass.bytes as u64, Ordering::Relaxed);
}
