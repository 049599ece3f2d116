-- @app: distinct
-- @description: each combination of region and flag once
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

-- A row is passed on when it is the first of its kind; kinds that nobody asked for in a day are forgotten.
CREATE STREAM region_states AS
SELECT DISTINCT region, active
FROM simple_record
WITH (
    'state.ttl' = '1d',
    'region_states.type' = 'kafka_sink',
    'region_states.topic' = 'region_states',
    'region_states.format' = 'json'
);
