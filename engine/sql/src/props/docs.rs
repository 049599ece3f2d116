//! One line on each property of the key table, for the JSON Schema of config files and whoever lists properties.
//!
//! A test compares the names with the table, so a new property cannot go without its line.

/// Name of the property and what it does, in order of the key table.
#[rustfmt::skip]
pub const DOCS: &[(&str, &str)] = &[
    ("type", "Connector."),
    ("path", "File, folder or pattern; relative paths count from the folder of the SQL file."),
    ("topic.name", "Kafka topic; by default the name of the relation."),
    ("config_file", "Config file with more properties."),
    ("source_config", "Config file for sources."),
    ("sink_config", "Config file for sinks."),
    ("monitoring_config", "Config file about monitoring."),
    ("security_config", "Config file about security."),
    ("format", "Format of the records; files have theirs from their extension."),
    ("delimiter", "Character between the fields of a CSV file."),
    ("quote", "Character around CSV fields that hold the delimiter."),
    ("header", "Whether the first line of a CSV file names the columns."),
    ("skip_lines", "Lines in front of the first record that are skipped."),
    ("max_records", "Stop after this many records of each partition."),
    ("max.record.bytes", "Longer records go to the dead letters."),
    ("watch", "Follow the files after their end."),
    ("poll_interval", "Time between looks at followed files; a bare number is milliseconds."),
    ("read.order", "How the files of a pattern are read: each a partition, one after the other, or by event time."),
    ("recursive", "Read the files of folders inside the folder."),
    ("extension_filter", "Read files of this extension only."),
    ("buffer_size", "Bytes read at once."),
    ("file.wait.timeout", "How long to wait for a file that is missing."),
    ("file.retry.interval", "Time between looks for a missing file."),
    ("delete.field", "Field that is true in records that delete their key from a TABLE."),
    ("partitions", "Partitions of a topic that is made."),
    ("append", "Append to an existing file instead of replacing it."),
    ("compression", "Compression of the file."),
    ("csv_delimiter", "Character between the fields of a CSV file."),
    ("csv_has_header", "Whether the first line of a CSV file names the columns."),
    ("buffer_size_bytes", "Bytes written at once."),
    ("writer_threads", "Threads that write; one is enough."),
    ("max_file_size_bytes", "Begin a new file beyond this size."),
    ("rotation_interval_ms", "Begin a new file after this time."),
    ("max_records_per_file", "Begin a new file after this many records."),
    ("changelog", "How changes of a TABLE are written."),
    ("json.decimal.output", "How decimals are written in JSON."),
    ("json.decimal.strings", "Read JSON texts that look like decimals as decimals."),
    ("event.time.field", "Column with the time of the event."),
    ("event.time.format", "Format of that column: epoch_millis, epoch_seconds, epoch_micros, epoch_nanos, iso8601 or a strftime pattern."),
    ("event.time.policy", "What happens to a record whose event time is missing or bad."),
    ("watermark.strategy", "How the watermark follows the event times."),
    ("watermark.max_out_of_orderness", "How late a record may be within its partition without being late."),
    ("watermark.idle.timeout", "A partition without records for this long no longer holds the watermark back."),
    ("late.data.strategy", "What happens to late rows."),
    ("window.allowed.lateness", "How long a window takes late rows after its end."),
    ("dead.letter.queue.path", "File for records that cannot be used."),
    ("dead.letter.queue.enabled", "Whether records that cannot be used are kept."),
    ("dead.letter.queue.topic", "Topic for records that cannot be used."),
    ("dlq_max_size", "Records kept at most."),
    ("failure_strategy", "What happens when a record cannot be used."),
    ("max_retries", "How often a failed request is repeated."),
    ("retry_backoff", "Pause in front of a repeated request; a bare number is milliseconds."),
    ("bootstrap.servers", "Kafka brokers as host:port, joined by commas."),
    ("broker.connect.timeout", "How long to wait for the brokers at start."),
    ("driver", "Kafka client to use."),
    ("group.id", "Consumer group; by default velo_{app}_{job}."),
    ("auto.offset.reset", "Where a partition without a committed offset is read from."),
    ("topic.wait.timeout", "How long to wait for a topic that is missing."),
    ("topic.retry.interval", "First pause between looks for a missing topic."),
    ("topic.retry.strategy", "How these pauses grow."),
    ("topic.retry.multiplier", "Factor of pauses that grow exponentially."),
    ("topic.retry.max.delay", "Longest of these pauses."),
    ("topic.retry.increment", "Increment of pauses that grow linearly."),
    ("commit.interval", "Time between commits of offsets."),
    ("schema.wait.timeout", "How long to wait for the first record of a topic without declared columns."),
    ("partitioned.by", "Column by which the topic's partitions are cut."),
    ("null.value", "What happens to records without a value."),
    ("on.data.loss", "What happens when records were deleted before they were read."),
    ("topic.create", "Make a sink's topic when it is missing."),
    ("replication.factor", "Replicas of a topic that is made; -1 is the cluster's default."),
    ("key.format", "Format of record keys."),
    ("key.field", "Column whose value is the key of the records; PRIMARY KEY and GROUP BY win."),
    ("schema.registry.url", "Schema registry."),
    ("region", "Region of an object store."),
    ("state.ttl", "Free groups and rows of tables that have not changed for this long, by event time."),
    ("join.type", "Kind of a join of streams."),
    ("join.lower_bound", "How much earlier the row of the right side may be."),
    ("join.upper_bound", "How much later the row of the right side may be."),
    ("join.retention", "How much longer rows wait for partners."),
    ("join.timeout", "How long a join waits."),
    ("table.wait.timeout", "How long a stream waits for a table to be loaded."),
    ("fallback.strategy", "What happens when a joined table is missing."),
    ("fallback.defaults", "Values for a missing table's columns, as JSON."),
    ("join.retry.max", "How often WaitAndRetry looks again for a table that is missing."),
    ("join.retry.delay", "First pause between these looks; each one doubles, up to 30 s."),
    ("table_model", "How a table keeps its rows."),
    ("retention", "How far behind the watermark versions of a table are kept for FOR SYSTEM_TIME AS OF."),
    ("refresh_interval", "How often a table is read again."),
    ("mode", "How a job runs."),
    ("use_transactions", "Write and commit in transactions."),
    ("delivery.guarantee", "How often a record may be written."),
    ("max_batch_size", "Records in a batch at most."),
    ("batch_timeout", "How long a batch is held back at most; a bare number is milliseconds."),
    ("partitioning_strategy", "How rows are spread over cores."),
    ("num_partitions", "Over how many cores rows are spread."),
    ("performance_profile", "What the app is tuned for."),
    ("max.memory.mb", "Memory the app may use."),
    ("max.groups", "Groups kept at most."),
    ("spill.to.disk", "Move state to disk when memory is short."),
    ("prometheus.port", "Port on which metrics are served."),
    ("tracing.otlp_endpoint", "Where traces are sent."),
];

/// What is said of a property.
pub fn doc(name: &str) -> Option<&'static str> {
    DOCS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::*;

    #[test]
    fn every_property_has_its_line() {
        let missing: Vec<&str> = KEYS.iter().map(|key| key.name).filter(|name| doc(name).is_none()).collect();
        assert!(missing.is_empty(), "add to props/docs.rs: {missing:?}");
        let stale: Vec<&str> =
            DOCS.iter().map(|(name, _)| *name).filter(|name| KEYS.iter().all(|key| key.name != *name)).collect();
        assert!(stale.is_empty(), "no longer in the key table: {stale:?}");
        assert!(DOCS.iter().all(|(_, text)| text.ends_with('.')));
    }
}
