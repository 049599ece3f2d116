-- @app: sum_avg
-- @description: sum, mean and extremes of each region so far
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

-- Sums and means of decimals are exact.
CREATE STREAM region_sales AS
SELECT
    region,
    SUM(amount) AS total_amount,
    AVG(amount) AS average_amount,
    MIN(amount) AS smallest_amount,
    MAX(amount) AS largest_amount,
    SUM(quantity) AS pieces
FROM simple_record
GROUP BY region
WITH (
    'state.ttl' = '1d',
    'region_sales.type' = 'kafka_sink',
    'region_sales.topic' = 'region_sales',
    'region_sales.format' = 'json'
);
