//! What goes into and comes out of the group coordinator: plain values, no protocol types. Errors are Kafka's codes
//! (`crate::errors`), times are milliseconds.

use bytes::Bytes;

/// Limits of the coordinator, in Kafka's terms.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// group.min.session.timeout.ms.
    pub session_min_ms: i32,
    /// group.max.session.timeout.ms.
    pub session_max_ms: i32,
    /// group.initial.rebalance.delay.ms: how long a new group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// group.max.size.
    pub members_max: usize,
    /// offset.metadata.max.bytes.
    pub metadata_bytes_max: usize,
    /// offsets.retention.minutes, in milliseconds.
    pub offsets_retention_ms: i64,
    /// offsets.retention.check.interval.ms.
    pub offsets_check_ms: i64,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            session_min_ms: 6_000,
            session_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 0,
            members_max: 10_000,
            metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_check_ms: 600_000,
        }
    }
}

/// A promise of an [`Answer`]; redeem it with `Groups::take`, or give it up with `Groups::cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// JoinGroup.
#[derive(Clone, Debug, Default)]
pub struct JoinRequest {
    /// Version of the request: from 4 on a new dynamic member must join twice, from 9 on a restarted static leader is
    /// told to skip the assignment.
    pub version: i16,
    /// group.id.
    pub group: String,
    /// Member id, empty for a new member.
    pub member: String,
    /// group.instance.id of a static member.
    pub instance: Option<String>,
    /// client.id, part of the generated member id.
    pub client_id: String,
    /// Address of the client, for descriptions only.
    pub client_host: String,
    /// Silence after which the member is removed.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member; version 0 has none: pass the session time-out.
    pub rebalance_timeout_ms: i32,
    /// "consumer", "connect", ...
    pub protocol_type: String,
    /// Names and metadata, the preferred one first.
    pub protocols: Vec<(String, Bytes)>,
}

/// SyncGroup.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// Who asks.
    pub who: MemberRef,
    /// Protocol type the member believes in (version 5 on).
    pub protocol_type: Option<String>,
    /// Protocol the member believes in (version 5 on).
    pub protocol: Option<String>,
    /// Member ids and their assignments; only the leader sends any.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member as it names itself in Heartbeat, SyncGroup, OffsetCommit and TxnOffsetCommit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRef {
    /// group.id.
    pub group: String,
    /// Generation, -1 for a simple consumer or an admin client.
    pub generation: i32,
    /// Member id, empty for a simple consumer or an admin client.
    pub member: String,
    /// group.instance.id.
    pub instance: Option<String>,
}

/// What a ticket turns into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// For a join.
    Joined(Joined),
    /// For a sync.
    Synced(Synced),
}

/// JoinGroup's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Kafka's code.
    pub error: i16,
    /// Generation, -1 on errors.
    pub generation: i32,
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// Protocol that all members support.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// Version 9: the leader must not assign again.
    pub skip_assignment: bool,
    /// This member's id; also with MEMBER_ID_REQUIRED.
    pub member: String,
    /// All members and their metadata of the chosen protocol; only for the leader.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member: String,
    /// group.instance.id.
    pub instance: Option<String>,
    /// Metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Kafka's code.
    pub error: i16,
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// Protocol of the generation.
    pub protocol: Option<String>,
    /// What the leader assigned, byte for byte.
    pub assignment: Bytes,
}

/// One member of a LeaveGroup request; versions 0-2 carry exactly one, without instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Member id; empty to remove a static member by its instance alone.
    pub member: String,
    /// group.instance.id.
    pub instance: Option<String>,
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch of the record before, -1 if unknown.
    pub leader_epoch: i32,
    /// The committer's own text; null is empty.
    pub metadata: String,
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset to read, -1 if none is committed.
    pub offset: i64,
    /// Leader epoch, -1 if unknown.
    pub leader_epoch: i32,
    /// The committer's own text.
    pub metadata: String,
    /// Kafka's code.
    pub error: i16,
}

/// State of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members; maybe offsets.
    Empty,
    /// Waits for members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// No such group.
    Dead,
}

impl GroupState {
    /// Kafka's spelling.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// DescribeGroups' answer; an unknown group is `Dead` without members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// State.
    pub state: GroupState,
    /// Generation of the group.
    pub generation: i32,
    /// Protocol type, empty if none.
    pub protocol_type: String,
    /// Protocol of a stable group, else empty.
    pub protocol: String,
    /// Member id of the leader.
    pub leader: Option<String>,
    /// Members.
    pub members: Vec<MemberDescription>,
}

/// One member in a [`GroupDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Member id.
    pub member: String,
    /// group.instance.id.
    pub instance: Option<String>,
    /// client.id.
    pub client_id: String,
    /// Address of the client.
    pub client_host: String,
    /// Metadata of the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Assignment; empty unless the group is stable.
    pub assignment: Bytes,
}

/// One line of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// group.id.
    pub group: String,
    /// Protocol type, empty if none.
    pub protocol_type: String,
    /// State.
    pub state: GroupState,
}
