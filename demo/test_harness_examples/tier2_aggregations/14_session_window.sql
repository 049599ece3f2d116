-- @app: session_window
-- @description: visits: what one visitor does with pauses of at most 30 seconds
CREATE STREAM user_activity (
    user_id STRING NOT NULL,
    action STRING,
    page STRING,
    dwell_ms INT,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'user_activity',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'bounded_out_of_orderness',
    'watermark.max_out_of_orderness' = '10s'
);

-- A visit ends 30 s behind its last event, so none is shorter than that.
CREATE STREAM visits AS
SELECT
    user_id,
    COUNT(*) AS event_count,
    SUM(CASE WHEN action = 'buy' THEN 1 ELSE 0 END) AS purchases,
    SESSION_DURATION() AS visit_ms,
    _window_start AS visit_start,
    _window_end AS visit_end
FROM user_activity
GROUP BY user_id
WINDOW SESSION(30s)
WITH (
    'visits.type' = 'kafka_sink',
    'visits.topic' = 'visits',
    'visits.format' = 'json'
);
