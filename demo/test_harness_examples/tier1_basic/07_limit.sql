-- @app: limit
-- @description: the ten largest orders of each hour
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
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM top_orders AS
SELECT id, region, SUM(amount) AS amount
FROM simple_record
GROUP BY id, region
WINDOW TUMBLING(1h)
ORDER BY amount DESC
LIMIT 10
WITH (
    'top_orders.type' = 'kafka_sink',
    'top_orders.topic' = 'top_orders',
    'top_orders.format' = 'json'
);
