-- @app: large_volume
-- @description: ten thousand records through a filter, and through groups of two columns
CREATE STREAM events (
    event_id STRING NOT NULL,
    device_id STRING NOT NULL,
    kind STRING,
    load FLOAT,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'events',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM loud_events AS
SELECT event_id, device_id, kind, load
FROM events
WHERE load >= 20.0
WITH (
    'loud_events.type' = 'kafka_sink',
    'loud_events.topic' = 'loud_events',
    'loud_events.format' = 'json'
);

CREATE TABLE device_kinds AS
SELECT
    device_id PRIMARY KEY,
    kind PRIMARY KEY,
    COUNT(*) AS event_count,
    AVG(load) AS average_load,
    _window_end AS window_end
FROM events
GROUP BY device_id, kind
WINDOW TUMBLING(5m)
WITH (
    'device_kinds.type' = 'kafka_sink',
    'device_kinds.topic' = 'device_kinds',
    'device_kinds.format' = 'json'
);
