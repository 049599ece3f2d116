-- @app: empty
-- @description: a topic without records
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

-- Without rows there are no windows, and without windows no rows.
CREATE STREAM device_minutes AS
SELECT device_id, COUNT(*) AS event_count, _window_start AS window_start
FROM events
GROUP BY device_id
WINDOW TUMBLING(1m)
WITH (
    'device_minutes.type' = 'kafka_sink',
    'device_minutes.topic' = 'device_minutes',
    'device_minutes.format' = 'json'
);
