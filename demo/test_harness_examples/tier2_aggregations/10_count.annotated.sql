-- @app: count
-- @version: 1.0.0
-- @description: how many records each region has, told anew with every record
-- @phase: development
-- @deployment.node_id: ${NODE_ID:count-1}
-- @deployment.region: ${REGION:local}
-- @observability.metrics.enabled: true
-- @observability.tracing.enabled: false
-- @observability.profiling.enabled: prod
-- @observability.error_reporting.enabled: true
-- @batch_size: 1000
-- @num_partitions: 8
-- @partitioning_strategy: hash
-- @sla.latency.p99: 100ms
-- @sla.availability: 99.9%
-- @data_retention: 7d
-- @compliance: none
--
-- 10_count.sql with the annotations of an app that is operated. Tests pass over *.annotated.sql.

CREATE STREAM simple_record (
    id BIGINT NOT NULL,
    customer STRING,
    region STRING,
    amount DECIMAL(10,2),
    quantity INT,
    active BOOLEAN,
    event_time BIGINT
) WITH (
    'type' = 'kafka_source',
    'topic' = 'simple_record',
    'format' = 'json'
);

-- @job_mode: adaptive
-- @metric: count_region_counts_total
-- @metric_type: counter
-- @metric_help: Rows of region_counts
-- @metric_labels: region
-- @metric: count_region_counts_record_count
-- @metric_type: gauge
-- @metric_help: Records of the region that was told last
-- @metric_field: record_count
-- @metric_labels: region
CREATE TABLE region_counts AS
SELECT region, COUNT(*) AS record_count
FROM simple_record
GROUP BY region
WITH (
    'state.ttl' = '1d',
    'region_counts.type' = 'kafka_sink',
    'region_counts.topic' = 'region_counts',
    'region_counts.format' = 'json'
);
