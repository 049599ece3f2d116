-- @app: metric_annotations
-- @description: what passes through a statement, as metrics
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
    'format' = 'json'
);

-- A counter of rows, a gauge with the last value, and a histogram, all of the rows that come out.
-- @metric: shop_orders_total
-- @metric_type: counter
-- @metric_help: Orders that came out
-- @metric_labels: region
-- @metric: shop_last_order_value
-- @metric_type: gauge
-- @metric_help: Value of the last order
-- @metric_field: order_value
-- @metric: shop_order_value
-- @metric_type: histogram
-- @metric_help: Orders by value
-- @metric_field: order_value
-- @metric_buckets: [50, 200, 1000, 5000]
CREATE STREAM measured_orders AS
SELECT id PRIMARY KEY, region, amount * quantity AS order_value
FROM simple_record
WITH (
    'measured_orders.type' = 'kafka_sink',
    'measured_orders.topic' = 'measured_orders',
    'measured_orders.format' = 'json'
);
