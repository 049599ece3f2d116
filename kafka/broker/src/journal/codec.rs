//! An entry as bytes: a tag, then the fields in order; numbers little endian, texts and lists with a `u32` length.
//! Tags and field order are the file format. Reading trusts no length: nothing is reserved ahead of the bytes.

use bytes::Bytes;

use super::{GroupRecord, JournalEntry, MemberRecord, PartitionRecord, TopicRecord, TxnRecord};
use crate::group::OffsetCommit;
use crate::txn::TxnState;

/// Appends the entry's bytes.
pub(super) fn encode(entry: &JournalEntry, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    match entry {
        JournalEntry::Cluster(id) => w.tag(1).text(id),
        JournalEntry::Topic(topic) => write_topic(w.tag(2), topic),
        JournalEntry::TopicDeleted(name) => w.tag(3).text(name),
        JournalEntry::Group(group) => write_group(w.tag(4), group),
        JournalEntry::GroupDeleted(group) => w.tag(5).text(group),
        JournalEntry::Offsets { group, commit_ms, offsets } => {
            w.tag(6).text(group).i64(*commit_ms).list(offsets, write_offset)
        }
        JournalEntry::OffsetsDeleted { group, partitions } => w.tag(7).text(group).list(partitions, write_partition),
        JournalEntry::PendingOffsets { group, producer_id, commit_ms, offsets } => {
            w.tag(8).text(group).i64(*producer_id).i64(*commit_ms).list(offsets, write_offset)
        }
        JournalEntry::PendingEnded { group, producer_id, commit } => {
            w.tag(9).text(group).i64(*producer_id).tag(u8::from(*commit))
        }
        JournalEntry::Txn(txn) => write_txn(w.tag(10), txn),
        JournalEntry::TxnDeleted(id) => w.tag(11).text(id),
        JournalEntry::ProducerIds(next) => w.tag(12).i64(*next),
    };
}

/// The entry that these bytes are, to the last one; `None` if they are none this version knows.
pub(super) fn decode(bytes: &[u8]) -> Option<JournalEntry> {
    let mut r = Reader(bytes);
    let entry = match r.tag()? {
        1 => JournalEntry::Cluster(r.text()?),
        2 => JournalEntry::Topic(read_topic(&mut r)?),
        3 => JournalEntry::TopicDeleted(r.text()?),
        4 => JournalEntry::Group(read_group(&mut r)?),
        5 => JournalEntry::GroupDeleted(r.text()?),
        6 => JournalEntry::Offsets { group: r.text()?, commit_ms: r.i64()?, offsets: r.list(read_offset)? },
        7 => JournalEntry::OffsetsDeleted { group: r.text()?, partitions: r.list(read_partition)? },
        8 => JournalEntry::PendingOffsets {
            group: r.text()?,
            producer_id: r.i64()?,
            commit_ms: r.i64()?,
            offsets: r.list(read_offset)?,
        },
        9 => JournalEntry::PendingEnded { group: r.text()?, producer_id: r.i64()?, commit: r.flag()? },
        10 => JournalEntry::Txn(read_txn(&mut r)?),
        11 => JournalEntry::TxnDeleted(r.text()?),
        12 => JournalEntry::ProducerIds(r.i64()?),
        _ => return None,
    };
    r.0.is_empty().then_some(entry)
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn tag(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }
    fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn length(&mut self, length: usize) {
        // A request is below 100 MiB, and so is all that one entry holds.
        self.0.extend_from_slice(&(length as u32).to_le_bytes());
    }
    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.length(value.len());
        self.0.extend_from_slice(value);
        self
    }
    fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }
    fn option(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            None => self.tag(0),
            Some(text) => self.tag(1).text(text),
        }
    }
    fn list<T>(&mut self, values: &[T], write: impl Fn(&mut Writer<'_>, &T)) -> &mut Self {
        self.length(values.len());
        for value in values {
            write(&mut Writer(self.0), value);
        }
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn tag(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    fn flag(&mut self) -> Option<bool> {
        match self.tag()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_le_bytes)
    }
    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
    fn length(&mut self) -> Option<usize> {
        self.array().map(u32::from_le_bytes).and_then(|n| usize::try_from(n).ok())
    }
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }
    fn option(&mut self) -> Option<Option<String>> {
        Some(if self.flag()? { Some(self.text()?) } else { None })
    }
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for _ in 0..self.length()? {
            values.push(read(self)?);
        }
        Some(values)
    }
}

fn write_partition(w: &mut Writer<'_>, partition: &(String, i32)) {
    w.text(&partition.0).i32(partition.1);
}

fn read_partition(r: &mut Reader<'_>) -> Option<(String, i32)> {
    Some((r.text()?, r.i32()?))
}

fn write_offset(w: &mut Writer<'_>, o: &OffsetCommit) {
    w.text(&o.topic).i32(o.partition).i64(o.offset).i32(o.leader_epoch).text(&o.metadata);
}

fn read_offset(r: &mut Reader<'_>) -> Option<OffsetCommit> {
    Some(OffsetCommit {
        topic: r.text()?,
        partition: r.i32()?,
        offset: r.i64()?,
        leader_epoch: r.i32()?,
        metadata: r.text()?,
    })
}

fn write_topic<'a, 'b>(w: &'a mut Writer<'b>, topic: &TopicRecord) -> &'a mut Writer<'b> {
    let partition = |w: &mut Writer<'_>, p: &PartitionRecord| {
        w.i32(p.leader).i32(p.epoch);
    };
    let setting = |w: &mut Writer<'_>, (name, value): &(String, String)| {
        w.text(name).text(value);
    };
    w.0.extend_from_slice(&topic.id);
    w.text(&topic.name).list(&topic.partitions, partition).i16(topic.replication).list(&topic.config, setting)
}

fn read_topic(r: &mut Reader<'_>) -> Option<TopicRecord> {
    Some(TopicRecord {
        id: r.array()?,
        name: r.text()?,
        partitions: r.list(|r| Some(PartitionRecord { leader: r.i32()?, epoch: r.i32()? }))?,
        replication: r.i16()?,
        config: r.list(|r| Some((r.text()?, r.text()?)))?,
    })
}

fn write_group<'a, 'b>(w: &'a mut Writer<'b>, group: &GroupRecord) -> &'a mut Writer<'b> {
    w.text(&group.group).i32(group.generation).option(group.protocol_type.as_deref());
    w.option(group.protocol.as_deref()).option(group.leader.as_deref()).i64(group.state_ms);
    w.list(&group.members, |w, m| {
        w.text(&m.member).option(m.instance.as_deref()).text(&m.client_id).text(&m.client_host);
        w.i32(m.session_timeout_ms).i32(m.rebalance_timeout_ms);
        w.list(&m.protocols, |w, (name, metadata)| {
            w.text(name).bytes(metadata);
        });
        w.bytes(&m.assignment);
    })
}

fn read_group(r: &mut Reader<'_>) -> Option<GroupRecord> {
    Some(GroupRecord {
        group: r.text()?,
        generation: r.i32()?,
        protocol_type: r.option()?,
        protocol: r.option()?,
        leader: r.option()?,
        state_ms: r.i64()?,
        members: r.list(read_member)?,
    })
}

fn read_member(r: &mut Reader<'_>) -> Option<MemberRecord> {
    Some(MemberRecord {
        member: r.text()?,
        instance: r.option()?,
        client_id: r.text()?,
        client_host: r.text()?,
        session_timeout_ms: r.i32()?,
        rebalance_timeout_ms: r.i32()?,
        protocols: r.list(|r| Some((r.text()?, Bytes::copy_from_slice(r.bytes()?))))?,
        assignment: Bytes::copy_from_slice(r.bytes()?),
    })
}

const STATES: [TxnState; 7] = [
    TxnState::Empty,
    TxnState::Ongoing,
    TxnState::PrepareCommit,
    TxnState::PrepareAbort,
    TxnState::CompleteCommit,
    TxnState::CompleteAbort,
    TxnState::Dead,
];

fn write_txn<'a, 'b>(w: &'a mut Writer<'b>, txn: &TxnRecord) -> &'a mut Writer<'b> {
    let state = STATES.iter().position(|s| *s == txn.state).expect("every state is in the list");
    w.text(&txn.transactional_id).i64(txn.producer_id).i64(txn.last_producer_id);
    w.i16(txn.producer_epoch).i16(txn.last_producer_epoch).i32(txn.timeout_ms).tag(state as u8);
    w.i64(txn.start_ms).i64(txn.update_ms).list(&txn.partitions, write_partition);
    w.list(&txn.groups, |w, group| {
        w.text(group);
    })
}

fn read_txn(r: &mut Reader<'_>) -> Option<TxnRecord> {
    Some(TxnRecord {
        transactional_id: r.text()?,
        producer_id: r.i64()?,
        last_producer_id: r.i64()?,
        producer_epoch: r.i16()?,
        last_producer_epoch: r.i16()?,
        timeout_ms: r.i32()?,
        state: *STATES.get(usize::from(r.tag()?))?,
        start_ms: r.i64()?,
        update_ms: r.i64()?,
        partitions: r.list(read_partition)?,
        groups: r.list(Reader::text)?,
    })
}
