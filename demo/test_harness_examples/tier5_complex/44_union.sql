-- @app: union
-- @description: the orders of two topics in one
CREATE STREAM web_order (
    order_id STRING NOT NULL,
    amount DECIMAL(10,2),
    event_time BIGINT
) WITH ('type' = 'kafka_source', 'topic' = 'web_order', 'format' = 'json');

CREATE STREAM store_order (
    order_id STRING NOT NULL,
    amount DECIMAL(10,2),
    event_time BIGINT
) WITH ('type' = 'kafka_source', 'topic' = 'store_order', 'format' = 'json');

CREATE STREAM all_orders AS
SELECT order_id, amount, 'web' AS channel FROM web_order
UNION ALL
SELECT order_id, amount, 'store' AS channel FROM store_order
WITH (
    'all_orders.type' = 'kafka_sink',
    'all_orders.topic' = 'all_orders',
    'all_orders.format' = 'json'
);
