//! Kafka's error codes, as they go over the wire. The state machines answer with these plain numbers, so that no
//! protocol type reaches them. Only the codes that the broker sends stand here.

/// Builds one public constant per code.
macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        $(#[doc = $text] pub const $name: i16 = $code;)*
        /// The code's name in Kafka's spelling, for logs and tests; `None` for a code the broker never sends.
        pub fn name(code: i16) -> Option<&'static str> {
            match code { $($code => Some(stringify!($name)),)* _ => None }
        }
    };
}

codes! {
    UNKNOWN_SERVER_ERROR = -1, "The broker failed in a way that has no code.";
    NONE = 0, "No error.";
    OFFSET_OUT_OF_RANGE = 1, "The offset lies outside the log.";
    CORRUPT_MESSAGE = 2, "A batch's checksum or shape is wrong.";
    UNKNOWN_TOPIC_OR_PARTITION = 3, "No such topic or partition here.";
    LEADER_NOT_AVAILABLE = 5, "The partition has no leader now.";
    NOT_LEADER_OR_FOLLOWER = 6, "This node does not lead the partition.";
    REQUEST_TIMED_OUT = 7, "The request waited too long.";
    MESSAGE_TOO_LARGE = 10, "The batch is above max.message.bytes.";
    OFFSET_METADATA_TOO_LARGE = 12, "A commit's metadata is above offset.metadata.max.bytes.";
    COORDINATOR_LOAD_IN_PROGRESS = 14, "The coordinator is still loading.";
    COORDINATOR_NOT_AVAILABLE = 15, "The coordinator cannot serve now.";
    NOT_COORDINATOR = 16, "Another node coordinates this group or transactional id.";
    INVALID_TOPIC_EXCEPTION = 17, "The topic's name is not legal.";
    RECORD_LIST_TOO_LARGE = 18, "The batch is larger than a segment.";
    NOT_ENOUGH_REPLICAS = 19, "Fewer replicas in sync than min.insync.replicas.";
    INVALID_REQUIRED_ACKS = 21, "acks is none of -1, 0, 1.";
    ILLEGAL_GENERATION = 22, "The generation is not the group's current one.";
    INCONSISTENT_GROUP_PROTOCOL = 23, "The member shares no protocol with the group.";
    INVALID_GROUP_ID = 24, "The group id is empty where it must not be.";
    UNKNOWN_MEMBER_ID = 25, "The group has no such member.";
    INVALID_SESSION_TIMEOUT = 26, "The session time-out is outside the allowed range.";
    REBALANCE_IN_PROGRESS = 27, "The group is rebalancing; join again.";
    UNSUPPORTED_VERSION = 35, "The broker does not speak this version of the request.";
    TOPIC_ALREADY_EXISTS = 36, "A topic of this name exists.";
    INVALID_PARTITIONS = 37, "The number of partitions is not allowed.";
    INVALID_REPLICATION_FACTOR = 38, "The replication factor is not allowed.";
    INVALID_CONFIG = 40, "A configuration value is not allowed.";
    INVALID_REQUEST = 42, "The request contradicts itself.";
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, "The batch's format cannot do this.";
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, "A producer's sequence has a gap.";
    INVALID_PRODUCER_EPOCH = 47, "The producer's epoch is not the current one.";
    INVALID_TXN_STATE = 48, "The transaction is in no state that allows this.";
    INVALID_PRODUCER_ID_MAPPING = 49, "The transactional id belongs to another producer id, or to none.";
    INVALID_TRANSACTION_TIMEOUT = 50, "The transaction time-out is outside the allowed range.";
    CONCURRENT_TRANSACTIONS = 51, "The previous transaction has not ended yet; try again.";
    SECURITY_DISABLED = 54, "Security features are not configured.";
    KAFKA_STORAGE_ERROR = 56, "The log could not be written or read.";
    UNKNOWN_PRODUCER_ID = 59, "Nothing is known of this producer id.";
    NON_EMPTY_GROUP = 68, "The group has members.";
    GROUP_ID_NOT_FOUND = 69, "No such group.";
    FETCH_SESSION_ID_NOT_FOUND = 70, "No such fetch session.";
    INVALID_FETCH_SESSION_EPOCH = 71, "The fetch session's epoch is wrong.";
    FENCED_LEADER_EPOCH = 74, "The leader epoch is older than the broker's.";
    UNKNOWN_LEADER_EPOCH = 75, "The leader epoch is newer than the broker's.";
    OFFSET_NOT_AVAILABLE = 78, "The leader cannot serve this offset yet.";
    MEMBER_ID_REQUIRED = 79, "Join again with the member id given here.";
    GROUP_MAX_SIZE_REACHED = 81, "The group has as many members as it may.";
    FENCED_INSTANCE_ID = 82, "Another member took over this group.instance.id.";
    GROUP_SUBSCRIBED_TO_TOPIC = 86, "The group reads this topic.";
    INVALID_RECORD = 87, "A record breaks a rule of its topic.";
    UNSTABLE_OFFSET_COMMIT = 88, "A transaction holds an undecided offset here.";
    PRODUCER_FENCED = 90, "A newer producer took over this transactional id.";
    UNKNOWN_TOPIC_ID = 100, "No topic has this id.";
    TRANSACTIONAL_ID_NOT_FOUND = 105, "No such transactional id.";
}
