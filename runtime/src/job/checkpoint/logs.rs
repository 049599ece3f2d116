//! The partitions of topics in checkpoints: where they go on, whether the log is still the one that was read, and who else
//! committed in the group.
//!
//! A start reads on behind the positions of its checkpoint, whatever the group committed: an offset without the state that
//! belongs to it says nothing. A position below the log's start is left to the fetch, which counts what is lost. A log that
//! ends before the position, begins earlier than it did, or has another first record, is not the one that was read.

use std::collections::BTreeMap;

use velostream_state::sections::checksum;
use velostream_types::Fatal;
use velostream_types::time::WM_NONE;
use velostream_types::topic::{Broker, Committed, TopicPartition, TopicRecord};

use super::frame::{First, Log, Position};
use super::keeper::Keeper;
use crate::job::commits::StateMark;
use crate::job::topics::{SourceTopic, Start};

impl Keeper {
    /// Where the partitions of a topic go on; `cuts`: logs that were found to be cut while they were read.
    pub(in crate::job) fn starts(
        &mut self,
        topic: &SourceTopic,
        broker: &dyn Broker,
        assigned: &[(TopicPartition, Option<Committed>)],
        cuts: &BTreeMap<TopicPartition, i64>,
        say: &mut dyn FnMut(String),
    ) -> Result<BTreeMap<u32, Start>, Fatal> {
        let positions: Vec<Position> = {
            let all = self.newest.iter().flat_map(|checkpoint| &checkpoint.meta.positions);
            all.filter(|at| at.source == topic.source.0).cloned().collect()
        };
        let had = positions.iter().map(|at| at.partition + 1).max().unwrap_or(0);
        if topic.partitions < had {
            return Err(self.is_another(topic, &format!("it has {} partitions and had {had}", topic.partitions)));
        }
        let bounds = broker.bounds(&topic.client, &topic.topic, topic.partitions)?;
        let mut starts = BTreeMap::new();
        for (at, _) in assigned {
            let p = at.partition;
            let Some(log) = bounds.get(p as usize) else { continue };
            let Some(position) = positions.iter().find(|known| known.partition == p) else {
                say(format!("partition {p} of {} is new: it is read from its first record", topic.topic));
                let start = Start { offset: log.start, max_event_time: WM_NONE, until: None, resumed: false };
                starts.insert(p, Start { until: self.meta.until_end.then_some(log.end), ..start });
                continue;
            };
            let end = cuts.get(at).map_or(log.end, |cut| log.end.min(*cut));
            if position.record > end {
                let found = format!("partition {p} was read up to offset {} and ends at {end}", position.record);
                return Err(self.is_another(topic, &found));
            }
            let until = match position.ended {
                true => Some(position.record),
                false => self.meta.until_end.then(|| self.log(topic, p).and_then(|log| log.until).unwrap_or(log.end)),
            };
            let (offset, max_event_time) = (position.record, position.event_time);
            starts.insert(p, Start { offset, max_event_time, until, resumed: true });
        }
        self.tell_of_others(topic, assigned, &starts, say);
        self.note_logs(topic, broker, &starts)?;
        Ok(starts)
    }

    /// Notes what tells the logs of a topic from those of another one; fails when they are others than before.
    pub(in crate::job) fn note_logs(
        &mut self,
        topic: &SourceTopic,
        broker: &dyn Broker,
        starts: &BTreeMap<u32, Start>,
    ) -> Result<(), Fatal> {
        let records = broker.sample(&topic.client, &topic.topic, 1)?;
        for (p, start) in starts {
            let first = records.iter().find(|record| record.partition == *p).map(first_of);
            let Some(log) = self.log(topic, *p) else {
                let (source, partition) = (topic.source.0, *p);
                self.meta.logs.push(Log { source, partition, until: start.until, first });
                continue;
            };
            let is_other = match (&log.first, &first) {
                (Some(known), Some(now)) if known.offset == now.offset => known.checksum != now.checksum,
                (Some(known), Some(now)) => now.offset < known.offset,
                _ => false,
            };
            if is_other {
                return Err(self.is_another(topic, &format!("partition {p} begins with another record")));
            }
            let log = Log { first: log.first.clone().or(first), until: start.until, ..log.clone() };
            self.meta.logs.retain(|known| (known.source, known.partition) != (log.source, log.partition));
            self.meta.logs.push(log);
        }
        Ok(())
    }

    fn log(&self, topic: &SourceTopic, partition: u32) -> Option<&Log> {
        self.meta.logs.iter().find(|log| (log.source, log.partition) == (topic.source.0, partition))
    }

    fn is_another(&self, topic: &SourceTopic, found: &str) -> Fatal {
        Fatal::new(format!(
            "topic {} is not the one that {} was taken of: {found}. It was deleted and made anew, or lost records that were \
             read; remove {} to begin again",
            topic.topic,
            self.place(),
            self.report.folder.display()
        ))
    }

    /// Offsets that no checkpoint of this folder knows were committed by somebody else.
    fn tell_of_others(
        &self,
        topic: &SourceTopic,
        assigned: &[(TopicPartition, Option<Committed>)],
        starts: &BTreeMap<u32, Start>,
        say: &mut dyn FnMut(String),
    ) {
        let mut places = Vec::new();
        let mut who = "somebody read it without --state".to_owned();
        for (at, committed) in assigned {
            let (Some(committed), Some(start)) = (committed, starts.get(&at.partition)) else { continue };
            let mark = StateMark::parse(&committed.metadata);
            let is_own = mark.as_ref().is_some_and(|mark| mark.identity == self.meta.identity);
            if is_own || committed.offset == start.offset {
                continue;
            }
            if let Some(mark) = mark {
                who = format!("a run with --state {} read it", mark.folder);
            }
            places.push(format!("{}:{} for {}", at.partition, committed.offset, start.offset));
        }
        if !places.is_empty() {
            say(format!(
                "group {} committed offsets of {} that no checkpoint in {} knows ({}): {who}. Going on from the checkpoint",
                topic.group,
                topic.topic,
                self.report.folder.display(),
                places.join(", ")
            ));
        }
    }

    /// What a topic's group committed that a start without a checkpoint may not go on from.
    pub(in crate::job) fn mark_of(committed: &[(TopicPartition, Option<Committed>)]) -> Option<StateMark> {
        committed.iter().filter_map(|(_, committed)| StateMark::parse(&committed.as_ref()?.metadata)).next()
    }
}

fn first_of(record: &TopicRecord) -> First {
    let mut bytes = record.timestamp_ms.to_le_bytes().to_vec();
    for part in [&record.key, &record.value] {
        bytes.push(u8::from(part.is_some()));
        bytes.extend_from_slice(part.as_deref().unwrap_or_default());
    }
    First { offset: record.offset, checksum: checksum(&bytes) }
}
