//! Which requests the broker understands, in which versions, and how their bodies look: the one table that ApiVersions
//! answers with, that dispatch refuses by, and that `shape` walks.
//!
//! Fetch ends below the versions that name topics by id, so that stored batches can be sent behind a hand-written
//! frame; the group protocol of KIP-848 is not offered.

use kafka_protocol::messages::ApiKey;

/// One request kind.
pub(crate) struct Api {
    pub key: ApiKey,
    name: &'static str,
    pub min: i16,
    pub max: i16,
    /// First version with compact lengths and tagged fields.
    pub flexible: i16,
    /// Body by version: each entry holds from its version on.
    pub shapes: &'static [(i16, &'static str)],
}

const NEVER: i16 = i16::MAX;

const fn api(
    (key, name): (ApiKey, &'static str),
    versions: (i16, i16),
    flexible: i16,
    shapes: &'static [(i16, &'static str)],
) -> Api {
    Api { key, name, min: versions.0, max: versions.1, flexible, shapes }
}

/// A key and its name.
macro_rules! named {
    ($key:ident) => {
        (ApiKey::$key, stringify!($key))
    };
}

/// All of them, by key.
pub(crate) const APIS: &[Api] = &[
    api(named!(Produce), (3, 8), 9, &[(3, "shi[{s[{iy}]}]")]),
    api(
        named!(Fetch),
        (4, 11),
        12,
        &[
            (4, "iiiib[{s[{ili}]}]"),
            (5, "iiiib[{s[{illi}]}]"),
            (7, "iiiibii[{s[{illi}]}][{s[i]}]"),
            (9, "iiiibii[{s[{iilli}]}][{s[i]}]"),
            (11, "iiiibii[{s[{iilli}]}][{s[i]}]s"),
        ],
    ),
    api(named!(ListOffsets), (1, 7), 6, &[(1, "i[{s[{il}]}]"), (2, "ib[{s[{il}]}]"), (4, "ib[{s[{iil}]}]")]),
    api(
        named!(Metadata),
        (0, 12),
        9,
        &[(0, "[{s}]"), (4, "[{s}]b"), (8, "[{s}]bbb"), (10, "[{us}]bbb"), (11, "[{us}]bb")],
    ),
    api(
        named!(OffsetCommit),
        (2, 8),
        8,
        &[(2, "sisl[{s[{ils}]}]"), (5, "sis[{s[{ils}]}]"), (6, "sis[{s[{ilis}]}]"), (7, "siss[{s[{ilis}]}]")],
    ),
    api(named!(OffsetFetch), (1, 7), 6, &[(1, "s[{s[i]}]"), (7, "s[{s[i]}]b")]),
    api(named!(FindCoordinator), (0, 4), 3, &[(0, "s"), (1, "sb"), (4, "b[s]")]),
    api(named!(JoinGroup), (0, 5), 6, &[(0, "siss[{sy}]"), (1, "siiss[{sy}]"), (5, "siisss[{sy}]")]),
    api(named!(Heartbeat), (0, 3), 4, &[(0, "sis"), (3, "siss")]),
    api(named!(LeaveGroup), (0, 3), 4, &[(0, "ss"), (3, "s[{ss}]")]),
    api(named!(SyncGroup), (0, 3), 4, &[(0, "sis[{sy}]"), (3, "siss[{sy}]")]),
    api(named!(DescribeGroups), (0, 5), 5, &[(0, "[s]"), (3, "[s]b")]),
    api(named!(ListGroups), (0, 5), 3, &[(0, ""), (4, "[s]"), (5, "[s][s]")]),
    api(named!(ApiVersions), (0, 4), 3, &[(0, ""), (3, "ss")]),
    api(named!(CreateTopics), (2, 7), 5, &[(2, "[{sih[{i[i]}][{ss}]}]ib")]),
    api(named!(DeleteTopics), (1, 6), 4, &[(1, "[s]i"), (6, "[{su}]i")]),
    api(named!(DeleteRecords), (0, 2), 2, &[(0, "[{s[{il}]}]i")]),
    api(named!(InitProducerId), (0, 4), 2, &[(0, "si"), (3, "silh")]),
    api(named!(OffsetForLeaderEpoch), (2, 4), 4, &[(2, "[{s[{iii}]}]"), (3, "i[{s[{iii}]}]")]),
    api(named!(AddPartitionsToTxn), (0, 3), 3, &[(0, "slh[{s[i]}]")]),
    api(named!(AddOffsetsToTxn), (0, 3), 3, &[(0, "slhs")]),
    api(named!(EndTxn), (0, 3), 3, &[(0, "slhb")]),
    api(
        named!(TxnOffsetCommit),
        (0, 3),
        3,
        &[(0, "sslh[{s[{ils}]}]"), (2, "sslh[{s[{ilis}]}]"), (3, "sslhiss[{s[{ilis}]}]")],
    ),
    api(named!(DescribeConfigs), (1, 4), 4, &[(1, "[{bs[s]}]b"), (3, "[{bs[s]}]bb")]),
    api(named!(AlterConfigs), (0, 2), 2, &[(0, "[{bs[{ss}]}]b")]),
    api(named!(DescribeLogDirs), (1, 4), 2, &[(1, "[{s[i]}]")]),
    api(named!(CreatePartitions), (0, 3), 2, &[(0, "[{si[{[i]}]}]ib")]),
    api(named!(DeleteGroups), (0, 2), 2, &[(0, "[s]")]),
    api(named!(IncrementalAlterConfigs), (0, 1), 1, &[(0, "[{bs[{sbs}]}]b")]),
    api(named!(OffsetDelete), (0, 0), NEVER, &[(0, "s[{s[{i}]}]")]),
    api(named!(DescribeCluster), (0, 1), 0, &[(0, "b"), (1, "bb")]),
    api(named!(DescribeProducers), (0, 0), 0, &[(0, "[{s[i]}]")]),
    api(named!(DescribeTransactions), (0, 0), 0, &[(0, "[s]")]),
    api(named!(ListTransactions), (0, 1), 0, &[(0, "[s][l]"), (1, "[s][l]l")]),
];

impl Api {
    /// The one with this key.
    pub(crate) fn of(key: i16) -> Option<&'static Api> {
        APIS.iter().find(|api| api.key as i16 == key)
    }

    /// The one with this name, as Kafka's documentation writes it.
    pub(crate) fn named(name: &str) -> Option<&'static Api> {
        APIS.iter().find(|api| api.name().eq_ignore_ascii_case(name))
    }

    /// Its name in Kafka's documentation.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn shape(&self, version: i16) -> &'static str {
        self.shapes.iter().rev().find(|(from, _)| *from <= version).map_or("", |(_, shape)| shape)
    }
}

#[cfg(test)]
mod tests;
