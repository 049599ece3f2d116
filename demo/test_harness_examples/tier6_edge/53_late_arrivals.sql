-- @app: late_arrivals
-- @description: records in disorder, and a watermark that waits for them
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
    'watermark.strategy' = 'bounded_out_of_orderness',
    'watermark.max_out_of_orderness' = '30s'
);

-- A minute is given out 30 s of event time after its end, so what comes up to 30 s behind others still counts in it.
-- What comes later than that is dropped, and counted in the summary.
CREATE STREAM device_minutes AS
SELECT
    kind,
    COUNT(*) AS event_count,
    SUM(CASE WHEN load >= 50.0 THEN 1 ELSE 0 END) AS busy_count,
    _window_start AS window_start,
    _window_end AS window_end
FROM events
GROUP BY kind
WINDOW TUMBLING(1m)
WITH (
    'late.data.strategy' = 'drop',
    'device_minutes.type' = 'kafka_sink',
    'device_minutes.topic' = 'device_minutes',
    'device_minutes.format' = 'json'
);

-- No window, so nothing is late: each record says how far it came behind the newest of its kind before it.
CREATE STREAM arrivals AS
SELECT
    event_id,
    kind,
    event_time,
    MAX(event_time) OVER (
        ROWS WINDOW BUFFER 200 ROWS PARTITION BY kind EXPIRE AFTER NEVER
    ) - event_time AS behind_ms
FROM events
WITH (
    'arrivals.type' = 'kafka_sink',
    'arrivals.topic' = 'arrivals',
    'arrivals.format' = 'json'
);
