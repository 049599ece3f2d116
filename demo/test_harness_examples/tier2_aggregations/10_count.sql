-- @app: count
-- @description: how many records each region has, told anew with every record
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

-- Without a window a group has no end, so each record gives its group's row once more. A region that is silent for a
-- day is forgotten.
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
