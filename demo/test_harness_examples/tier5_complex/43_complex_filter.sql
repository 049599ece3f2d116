-- @app: complex_filter
-- @description: a condition of several kinds of comparisons
CREATE STREAM order_event (
    order_id STRING NOT NULL,
    customer_id STRING NOT NULL,
    status STRING,
    quantity INT,
    unit_price DECIMAL(10,2),
    order_value DECIMAL(12,2),
    coupon STRING,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'order_event',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM offer_orders AS
SELECT order_id, customer_id, status, quantity, unit_price, coupon
FROM order_event
WHERE unit_price BETWEEN 20 AND 150
  AND status IN ('placed', 'paid')
  AND (coupon IS NOT NULL OR quantity >= 10)
  AND NOT customer_id LIKE 'K%8'
WITH (
    'offer_orders.type' = 'kafka_sink',
    'offer_orders.topic' = 'offer_orders',
    'offer_orders.format' = 'json'
);
