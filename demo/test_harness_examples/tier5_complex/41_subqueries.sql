-- @app: subqueries
-- @description: orders of customers that a query over a table names
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

-- Made of a file and kept in memory: nobody but the query below reads it.
CREATE TABLE customers AS
SELECT customer_id PRIMARY KEY, customer_name, tier
FROM customer_file
WITH (
    'customer_file.type' = 'file_source',
    'customer_file.path' = 'data/customers.csv',
    'customer_file.format' = 'csv'
);

-- The table is loaded before the first order is looked at. A backquoted alias may hold any character.
CREATE STREAM gold_orders AS
SELECT
    o.order_id,
    o.customer_id,
    o.order_value AS `o.order_value`,
    (SELECT c.customer_name FROM customers c WHERE c.customer_id = o.customer_id) AS customer_name
FROM order_event o
WHERE o.customer_id IN (SELECT customer_id FROM customers WHERE tier = 'gold')
WITH (
    'gold_orders.type' = 'kafka_sink',
    'gold_orders.topic' = 'gold_orders',
    'gold_orders.format' = 'json'
);
