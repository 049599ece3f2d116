-- @app: multi_join
-- @description: orders beside their customers and their products
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

-- A declared table is read by its key: of two lines with one key the later counts.
CREATE TABLE product_table (
    product_id STRING PRIMARY KEY,
    product_name STRING,
    list_price DECIMAL(10,2)
) WITH ('type' = 'file_source', 'path' = 'data/products.csv', 'format' = 'csv');

-- Joins are taken from left to right; the second table has no declaration, so its columns are those of the file.
CREATE STREAM priced_orders AS
SELECT
    o.order_id,
    c.customer_name,
    p.product_name,
    o.quantity,
    o.quantity * p.list_price AS order_value
FROM order_event o
LEFT JOIN product_table p ON o.product_id = p.product_id
LEFT JOIN customer_table c ON o.customer_id = c.customer_id
WITH (
    'customer_table.type' = 'file_source',
    'customer_table.path' = 'data/customers.csv',
    'customer_table.format' = 'csv',
    'priced_orders.type' = 'kafka_sink',
    'priced_orders.topic' = 'priced_orders',
    'priced_orders.format' = 'json'
);
