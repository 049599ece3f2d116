-- @app: order_by
-- @description: the orders of each minute, the largest first
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

-- A topic has no end, so what can be ordered is the rows of a window: they are complete when it closes.
CREATE STREAM ranked_orders AS
SELECT _window_start AS minute, id, region, SUM(amount) AS amount
FROM simple_record
GROUP BY id, region
WINDOW TUMBLING(1m)
ORDER BY amount DESC, id ASC
WITH (
    'ranked_orders.type' = 'kafka_sink',
    'ranked_orders.topic' = 'ranked_orders',
    'ranked_orders.format' = 'json'
);
