-- A million orders, priced: what the check of memory and time runs.
CREATE STREAM orders (id STRING NOT NULL, placed_at BIGINT, price DECIMAL(10,2), quantity INT)
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');

CREATE STREAM priced_orders AS
SELECT id, placed_at, price, quantity, price * quantity AS total FROM orders
WITH ('priced_orders.type' = 'kafka_sink', 'priced_orders.topic' = 'priced_orders', 'priced_orders.format' = 'json');
