-- @app: case
-- @description: values that are chosen by conditions
CREATE STREAM user_activity (
    user_id STRING NOT NULL,
    action STRING,
    device STRING,
    campaign STRING,
    dwell_ms INT,
    event_time BIGINT
) WITH (
    'type' = 'kafka_source',
    'topic' = 'user_activity',
    'format' = 'json'
);

-- Searched CASE with comparisons, IN and IS NULL, and simple CASE by value.
CREATE STREAM labelled_activity AS
SELECT
    user_id,
    action,
    CASE
        WHEN action IN ('buy', 'add_to_cart') THEN 'intent'
        WHEN action = 'refund' THEN 'regret'
        ELSE 'interest'
    END AS stage,
    CASE WHEN campaign IS NULL THEN 'organic' ELSE 'paid' END AS origin,
    CASE device WHEN 'phone' THEN 'small' WHEN 'tablet' THEN 'small' ELSE 'large' END AS screen,
    CASE WHEN dwell_ms < 1000 THEN 0 WHEN dwell_ms < 30000 THEN 1 ELSE 2 END AS attention
FROM user_activity
WITH (
    'labelled_activity.type' = 'kafka_sink',
    'labelled_activity.topic' = 'labelled_activity',
    'labelled_activity.format' = 'json'
);
