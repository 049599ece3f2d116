//! Topics: offsets, order, ends, and nothing kept that nobody will read.

use super::*;

fn batch(records: &[(&str, &str)]) -> TopicBatch {
    let mut batch = TopicBatch::default();
    for (i, (key, value)) in records.iter().enumerate() {
        batch.push((!key.is_empty()).then_some(key.as_bytes()), Some(value.as_bytes()), i as i64);
    }
    batch
}

/// The next slab as `offset:key=value` per record.
fn next(source: &mut MemorySource) -> String {
    match source.poll(0, false).unwrap() {
        SourcePoll::Pending | SourcePoll::Behind => "pending".into(),
        SourcePoll::End => "end".into(),
        SourcePoll::Slab(Slab { bytes, kind: SlabKind::Records(records) }) => {
            let text = |range: Option<(u32, u32)>| match range {
                Some((a, b)) => String::from_utf8(bytes[a as usize..b as usize].to_vec()).unwrap(),
                None => "null".into(),
            };
            let records: Vec<_> =
                records.iter().map(|r| format!("{}:{}={}", r.offset, text(r.key), text(r.value))).collect();
            records.join(" ")
        }
        SourcePoll::Slab(slab) => panic!("{slab:?}"),
    }
}

#[test]
fn readers_see_every_record_then_the_end() {
    let topic = Topics::default().open("t", 2, Retention::All);
    assert_eq!(topic.append(0, &mut batch(&[("k", "a"), ("", "b")])), 0);
    let mut reader = topic.reader(0, None);
    assert_eq!(next(&mut reader), "0:k=a 1:null=b");
    assert_eq!(next(&mut reader), "pending");
    assert_eq!(topic.append(0, &mut batch(&[("k", "c")])), 2);
    topic.append(0, &mut batch(&[("l", "d")]));
    assert_eq!((topic.lag(0), topic.end_offset(0)), (2, 4));
    assert_eq!(next(&mut reader), "2:k=c 3:l=d");
    topic.close();
    assert_eq!(next(&mut reader), "end");
    let mut late = topic.reader(0, None);
    assert_eq!(next(&mut late), "0:k=a 1:null=b 2:k=c 3:l=d");
    assert_eq!(next(&mut topic.reader(1, None)), "end");
    assert_eq!(topic.head(0, 3), [b"a", b"b", b"c"]);
}

#[test]
fn large_batches_are_not_copied() {
    let topic = Topics::default().open("t", 1, Retention::All);
    let large = "x".repeat(COALESCE);
    topic.append(0, &mut batch(&[("", &large)]));
    topic.append(0, &mut batch(&[("", "small")]));
    let mut reader = topic.reader(0, None);
    let stored = locked(&topic.partitions[0]).segments[0].bytes.as_ptr();
    match reader.poll(0, false).unwrap() {
        SourcePoll::Slab(slab) => assert_eq!(slab.bytes.as_ptr(), stored),
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut reader), "1:null=small");
}

#[test]
fn what_was_read_is_dropped_where_nobody_comes_later() {
    let topic = Topics::default().open("t", 1, Retention::UntilRead);
    let mut fast = topic.reader(0, None);
    let slow = topic.reader(0, None);
    topic.append(0, &mut batch(&[("", "a")]));
    next(&mut fast);
    assert_eq!(locked(&topic.partitions[0]).segments.len(), 1, "the slow reader has not read it");
    drop(slow);
    topic.append(0, &mut batch(&[("", "b")]));
    assert_eq!(next(&mut fast), "1:null=b");
    assert_eq!(locked(&topic.partitions[0]).segments.len(), 0);
}

#[test]
fn readers_are_rung() {
    let topic = Topics::default().open("t", 1, Retention::All);
    let bell = Arc::new(Bell::default());
    let _reader = topic.reader(0, Some(Arc::clone(&bell)));
    topic.append(0, &mut batch(&[("", "a")]));
    assert!(bell.take_news());
    topic.close();
    assert!(bell.take_news());
}

#[test]
fn sinks_keep_keys_together_and_the_last_one_closes() {
    let topics = Topics::default();
    let topic = topics.open("out", 4, Retention::All);
    let (mut one, mut two) = (topic.writer(7), topic.writer(7));
    let mut chunk = Chunk::default();
    for (key, row) in [(Some("k"), "1\n"), (None, "2\n"), (Some("k"), "3\n")] {
        chunk.bytes.extend_from_slice(row.as_bytes());
        chunk.end_row();
        chunk.keys.push(key.map(|k| k.as_bytes().into()));
    }
    one.write(&chunk).unwrap();
    one.finish().unwrap();
    one.finish().unwrap();
    let partition = (vnode::hash_key(b"k") % 4) as u32;
    let mut reader = topic.reader(partition, None);
    let keyed = next(&mut reader);
    assert!(keyed.contains("k=1") && keyed.contains("k=3"), "{keyed}");
    assert_eq!(next(&mut reader), "pending");
    two.finish().unwrap();
    assert_eq!(next(&mut reader), "end");
    assert_eq!((0..4).map(|p| topic.end_offset(p)).sum::<i64>(), 3);
    assert_eq!(topics.names(), ["out"]);
}
