//! How long rows wait for a table that does not come, and what happens then: turns of one shard, with time in our hands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::Buffer;
use velostream_exec::shard::{Inbox, Outbox, Shard, ShardOptions};
use velostream_harness::scenario::compile_app;
use velostream_types::time::{NS_PER_SEC, WM_END};
use velostream_types::{PartitionId, ShardId, Slab, SlabKind, SourceId, SourcePoll};

/// A shard whose table is asked for and does not come.
struct Waiting {
    shard: Shard,
    inbox: Inbox,
    /// The table's source.
    table: SourceId,
    /// Records of the table that come in all.
    rows: usize,
}

impl Waiting {
    fn new(properties: &str) -> Waiting {
        let sql = format!(
            "CREATE STREAM s (id INT, k INT) WITH (type = 'memory', format = 'json');
             CREATE TABLE c (k INT PRIMARY KEY, name STRING) WITH (type = 'memory', format = 'json', {properties});
             CREATE STREAM out AS SELECT s.id, c.name FROM s LEFT JOIN c ON s.k = c.k WITH ('out.type' = 'stdout');"
        );
        let plan = compile_app(&sql, &BTreeMap::new(), Path::new(".")).unwrap_or_else(|text| panic!("{text}"));
        let table = plan.sources.iter().position(|source| source.load.table).expect("a table");
        let owned: Vec<(SourceId, PartitionId)> =
            (0..plan.sources.len()).map(|s| (SourceId(s as u16), PartitionId(0))).collect();
        let options = ShardOptions {
            batch_rows: 16,
            credits: 4,
            run_start_ms: 0,
            seed: 0,
            partitions: vec![1; plan.sources.len()],
            memory_limit: u64::MAX,
            check: true,
            checkpoint: false,
        };
        Waiting {
            shard: Shard::new(Arc::new(plan), ShardId(0), 1, &owned, options),
            inbox: Inbox { low_elsewhere: WM_END, loaded_elsewhere: u16::MAX, ..Inbox::default() },
            table: SourceId(table as u16),
            rows: 1,
        }
    }

    /// Turns at this second until nothing is asked for but the table; answers what else was, or what went wrong.
    fn at(&mut self, second: i64) -> Result<bool, String> {
        let mut asks_stream = false;
        for _ in 0..8 {
            let mut out = Outbox::default();
            self.shard.turn(second * NS_PER_SEC, &mut self.inbox, &mut out).map_err(|fatal| fatal.message)?;
            for demand in out.demands.drain(..) {
                let poll = if demand.source == self.table && self.rows > 0 {
                    self.rows -= 1;
                    let bytes = b"{\"k\":1,\"name\":\"ann\"}\n".to_vec();
                    let kind = SlabKind::Stream { at_end: false, position: 0 };
                    SourcePoll::Slab(Slab { bytes: Buffer::from_vec(bytes), kind })
                } else {
                    asks_stream |= demand.source != self.table;
                    SourcePoll::Behind
                };
                self.inbox.polls.push((demand.source, demand.partition, poll));
            }
        }
        Ok(asks_stream)
    }
}

#[test]
fn a_run_ends_when_its_table_does_not_come() {
    for (properties, patience_s) in [
        ("'table.wait.timeout' = '5s'", 5),
        ("'table.wait.timeout' = '5s', 'fallback.strategy' = 'WaitAndRetry', 'join.retry.max' = 2", 5 + 1 + 2),
    ] {
        let mut waiting = Waiting::new(properties);
        assert_eq!(waiting.at(100), Ok(false), "the stream waits");
        assert_eq!(waiting.at(100 + patience_s - 1), Ok(false), "{properties}");
        let error = waiting.at(100 + patience_s).expect_err("patience is over");
        let want = format!(
            "table c is not loaded: topic c was not read to its end within {patience_s} s; partitions still behind: 0 at \
             record 1; raise table.wait.timeout, or say with fallback.strategy what becomes of rows without it"
        );
        assert_eq!(error, want);
    }
}

#[test]
fn rows_come_without_a_table_that_may_be_missing() {
    for strategy in ["SkipRecord", "EmitWithNulls"] {
        let mut waiting = Waiting::new(&format!("'table.wait.timeout' = '5s', 'fallback.strategy' = '{strategy}'"));
        assert_eq!(waiting.at(100), Ok(false));
        assert_eq!(waiting.at(104), Ok(false));
        assert_eq!(waiting.at(105), Ok(true), "{strategy}");
    }
}
