//! What a partition log costs: nanoseconds per record for appends and reads of 100-byte records in batches of 1,000, in
//! memory and in files. `log_bench [batches] [folder]`; a folder on a disk measures that disk's page cache.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use velostream_broker::store::{LogConfig, PartitionLog, Storage};

const RECORDS: usize = 1_000;
const VALUE_BYTES: usize = 100;
const NOW: i64 = 1_700_000_000_000;
const FETCH_BYTES: usize = 1 << 20;

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// One batch of a producer, as librdkafka would send it; `sequence` is below 0 for one without idempotence.
fn batch(sequence: i32) -> Bytes {
    let mut body = BytesMut::new();
    for i in 0..RECORDS as i64 {
        let mut record = BytesMut::new();
        record.put_u8(0);
        put_varint(&mut record, i / 10);
        put_varint(&mut record, i);
        put_varint(&mut record, -1);
        put_varint(&mut record, VALUE_BYTES as i64);
        record.put_bytes(b'v', VALUE_BYTES);
        put_varint(&mut record, 0);
        put_varint(&mut body, record.len() as i64);
        body.put_slice(&record);
    }
    let mut checked = BytesMut::new();
    checked.put_i16(0);
    checked.put_i32(RECORDS as i32 - 1);
    checked.put_i64(NOW);
    checked.put_i64(NOW + 99);
    checked.put_i64(if sequence < 0 { -1 } else { 1 });
    checked.put_i16(if sequence < 0 { -1 } else { 0 });
    checked.put_i32(sequence);
    checked.put_i32(RECORDS as i32);
    checked.put_slice(&body);
    let mut all = BytesMut::new();
    all.put_i64(0);
    all.put_i32(9 + checked.len() as i32);
    all.put_i32(-1);
    all.put_i8(2);
    all.put_u32(crc32c::crc32c(&checked));
    all.put_slice(&checked);
    all.freeze()
}

#[allow(clippy::disallowed_methods, reason = "an example that measures reads the clock")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn measure(name: &str, storage: Storage, batches: &[Bytes]) -> std::io::Result<()> {
    let (mut log, _) = PartitionLog::open(storage.clone(), LogConfig::default(), NOW)?;
    let per_record = |time: Duration| time.as_nanos() as f64 / (batches.len() * RECORDS) as f64;
    let mut refused = 0;
    let append = timed(|| {
        for batch in batches {
            refused += usize::from(log.append(batch.clone(), 0, NOW).is_err());
        }
    });
    let (mut next, mut bytes) = (0, 0);
    let read = timed(|| {
        while next < log.high_watermark() {
            let Ok(read) = log.read(next, FETCH_BYTES, true, true) else { break };
            bytes += read.bytes;
            next += (read.bytes / batches[0].len() * RECORDS) as i64;
        }
    });
    println!(
        "{name:<8} append {:6.1} ns/record   read {:6.1} ns/record   {:.0} MB, {refused} refused",
        per_record(append),
        per_record(read),
        bytes as f64 / 1e6
    );
    if let Storage::Dir(_) = storage {
        let opened = timed(|| drop(PartitionLog::open(storage.clone(), LogConfig::default(), NOW)));
        log.flush()?;
        let reopened = timed(|| drop(PartitionLog::open(storage, LogConfig::default(), NOW)));
        println!("{name:<8} open after a kill {opened:?}, after a flush {reopened:?}");
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("velo-log-bench");
    let batches: Vec<Bytes> = (0..count).map(|i| batch(i * RECORDS as i32)).collect();
    measure("memory", Storage::Memory, &batches)?;
    let _ = std::fs::remove_dir_all(&folder);
    measure("files", Storage::Dir(folder.clone()), &batches)?;
    std::fs::remove_dir_all(&folder)
}
