-- @app: stream_stream_join
-- @description: orders and their shipments within an hour
CREATE STREAM order_stream (
    order_id BIGINT NOT NULL,
    customer_id STRING,
    amount DECIMAL(10,2),
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'order_stream',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM shipment_stream (
    shipment_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    carrier STRING,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'shipment_stream',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

-- Order 3 leaves in two parts, order 8 too late, orders 4 and 6 never; shipment 906 has no order.
CREATE STREAM shipped_orders AS
SELECT
    o.order_id,
    o.customer_id,
    o.amount,
    s.shipment_id,
    s.carrier,
    (s.event_time - o.event_time) / 60000 AS minutes_to_ship
FROM order_stream o
JOIN shipment_stream s WITHIN (0s, 1h) ON o.order_id = s.order_id
WITH (
    'shipped_orders.type' = 'kafka_sink',
    'shipped_orders.topic' = 'shipped_orders',
    'shipped_orders.format' = 'json'
);
