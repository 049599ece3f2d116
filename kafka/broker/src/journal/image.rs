//! What all entries of a journal say together: the latest of each thing. The journal rewrites itself from it, the
//! coordinators restore from it; one fold for both, so that neither can disagree with the other.

use std::collections::BTreeMap;

use super::{GroupRecord, JournalEntry, TopicRecord, TxnRecord};
use crate::group::Offsets;

#[derive(Debug, Default)]
pub(crate) struct GroupImage {
    /// `None`: offsets without members ever.
    pub(crate) record: Option<GroupRecord>,
    pub(crate) offsets: Offsets,
}

#[derive(Debug, Default)]
pub(crate) struct Image {
    cluster: Option<String>,
    topics: BTreeMap<String, TopicRecord>,
    pub(crate) groups: BTreeMap<String, GroupImage>,
    pub(crate) txns: BTreeMap<String, TxnRecord>,
    /// First producer id that was never reserved.
    pub(crate) producer_ids: i64,
}

impl Image {
    pub(crate) fn of(entries: &[JournalEntry]) -> Image {
        let mut image = Image::default();
        entries.iter().for_each(|entry| image.apply(entry));
        image
    }

    pub(crate) fn apply(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Cluster(id) => self.cluster = Some(id.clone()),
            JournalEntry::Topic(topic) => {
                self.topics.insert(topic.name.clone(), topic.clone());
            }
            JournalEntry::TopicDeleted(name) => {
                self.topics.remove(name);
            }
            JournalEntry::Group(record) => self.group(&record.group).record = Some(record.clone()),
            JournalEntry::GroupDeleted(group) => {
                self.groups.remove(group);
            }
            JournalEntry::Offsets { group, commit_ms, offsets } => {
                self.group(group).offsets.commit(*commit_ms, offsets);
            }
            JournalEntry::OffsetsDeleted { group, partitions } => {
                self.group(group).offsets.remove(partitions);
                self.forget_if_blank(group);
            }
            JournalEntry::PendingOffsets { group, producer_id, commit_ms, offsets } => {
                self.group(group).offsets.commit_pending(*producer_id, *commit_ms, offsets);
            }
            JournalEntry::PendingEnded { group, producer_id, commit } => {
                self.group(group).offsets.end_pending(*producer_id, *commit);
                self.forget_if_blank(group);
            }
            JournalEntry::Txn(txn) => {
                self.txns.insert(txn.transactional_id.clone(), txn.clone());
            }
            JournalEntry::TxnDeleted(id) => {
                self.txns.remove(id);
            }
            JournalEntry::ProducerIds(next) => self.producer_ids = self.producer_ids.max(*next),
        }
    }

    fn group(&mut self, group: &str) -> &mut GroupImage {
        self.groups.entry(group.to_owned()).or_default()
    }

    fn forget_if_blank(&mut self, group: &str) {
        if self.groups.get(group).is_some_and(|g| g.record.is_none() && g.offsets.is_empty()) {
            self.groups.remove(group);
        }
    }

    /// The fewest entries that say the same.
    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        let mut entries = Vec::new();
        entries.extend(self.cluster.clone().map(JournalEntry::Cluster));
        entries.extend(self.topics.values().cloned().map(JournalEntry::Topic));
        entries.extend((self.producer_ids > 0).then_some(JournalEntry::ProducerIds(self.producer_ids)));
        for (id, group) in &self.groups {
            entries.extend(group.record.clone().map(JournalEntry::Group));
            entries.extend(group.offsets.entries(id));
        }
        entries.extend(self.txns.values().cloned().map(JournalEntry::Txn));
        entries
    }
}
