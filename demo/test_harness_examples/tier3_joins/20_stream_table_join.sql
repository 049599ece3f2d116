-- @app: stream_table_join
-- @description: orders beside the customers who gave them
CREATE STREAM order_event (
    order_id BIGINT NOT NULL,
    customer_id STRING NOT NULL,
    product_id STRING NOT NULL,
    quantity INT,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'order_event',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

-- A file on the joined side is a table: it is read to its end before the first order. configs/ says where it is.
CREATE STREAM named_orders AS
SELECT o.order_id, o.product_id, o.quantity, o.customer_id, c.customer_name, c.tier, c.country
FROM order_event o
LEFT JOIN customer_table c ON o.customer_id = c.customer_id
WITH (
    'customer_table.config_file' = 'configs/customer_table.yaml',
    'named_orders.type' = 'kafka_sink',
    'named_orders.topic' = 'named_orders',
    'named_orders.format' = 'json'
);
