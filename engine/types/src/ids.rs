//! Identifiers as distinct types, so that a shard number added to a partition number does not compile.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The identifier as an index into a dense table.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// One shard: a pinned executor's slice of partitions and keyed state. Dense from 0.
    ShardId(u16)
);
id!(
    /// One source relation of an app, dense from 0 in order of first mention.
    SourceId(u16)
);
id!(
    /// A partition inside one source: a Kafka partition, a file by sorted name, a memory topic's partition.
    PartitionId(u32)
);
id!(
    /// One node of the app's physical plan; also names its state in snapshots.
    NodeId(u16)
);
id!(
    /// One exchange of the plan. Credits are counted per (edge, ordered pair of shards).
    EdgeId(u16)
);
id!(
    /// One dead-letter destination of an app.
    DlqId(u16)
);
