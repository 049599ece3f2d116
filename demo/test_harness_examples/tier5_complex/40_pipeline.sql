-- @app: pipeline
-- @description: three statements, each reading what the one before it writes
-- The topic of the first is described in configs/.
CREATE STREAM order_event (
    order_id STRING NOT NULL,
    customer_id STRING NOT NULL,
    status STRING,
    quantity INT,
    unit_price DECIMAL(10,2),
    order_value DECIMAL(12,2),
    coupon STRING,
    event_time BIGINT NOT NULL
) WITH ('config_file' = 'configs/order_event_source.yaml');

-- Stage 1: what is not cancelled, in classes.
CREATE STREAM valid_orders AS
SELECT
    order_id,
    customer_id,
    order_value,
    CASE WHEN order_value >= 1000 THEN 'large' WHEN order_value >= 200 THEN 'medium' ELSE 'small' END AS size_class
FROM order_event
WHERE status <> 'cancelled'
WITH (
    'valid_orders.type' = 'kafka_sink',
    'valid_orders.topic' = 'valid_orders',
    'valid_orders.format' = 'json'
);

-- Stage 2: five minutes of each customer. Event times travel with the records.
CREATE STREAM customer_totals AS
SELECT
    customer_id,
    COUNT(*) AS order_count,
    SUM(order_value) AS total_value,
    SUM(CASE WHEN size_class = 'large' THEN 1 ELSE 0 END) AS large_orders,
    _window_start AS window_start,
    _window_end AS window_end
FROM valid_orders
GROUP BY customer_id
WINDOW TUMBLING(5m)
WITH (
    'customer_totals.type' = 'kafka_sink',
    'customer_totals.topic' = 'customer_totals',
    'customer_totals.format' = 'json'
);

-- Stage 3: what to do about it.
CREATE STREAM customer_ratings AS
SELECT
    customer_id,
    order_count,
    total_value,
    CASE WHEN large_orders > 0 THEN 'call' WHEN order_count >= 5 THEN 'mail' ELSE 'none' END AS next_step,
    window_end
FROM customer_totals
WITH (
    'customer_ratings.type' = 'kafka_sink',
    'customer_ratings.topic' = 'customer_ratings',
    'customer_ratings.format' = 'json'
);
