-- @app: right_join
-- @description: what was restocked, with the orders that it serves or without any
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

CREATE STREAM restock_stream (
    restock_id BIGINT NOT NULL,
    product_id STRING NOT NULL,
    pieces INT,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'restock_stream',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

-- The right side stays whole: a restock that no order of the two hours around it asks for comes out once, with NULLs.
CREATE STREAM restock_use AS
SELECT
    r.restock_id,
    r.product_id,
    r.pieces,
    o.order_id,
    COALESCE(o.quantity, 0) AS ordered,
    CASE WHEN o.order_id IS NULL THEN 'unsold' ELSE 'sold' END AS sales_state
FROM order_event o
RIGHT JOIN restock_stream r WITHIN 1h ON o.product_id = r.product_id
WITH (
    'restock_use.type' = 'kafka_sink',
    'restock_use.topic' = 'restock_use',
    'restock_use.format' = 'json'
);
