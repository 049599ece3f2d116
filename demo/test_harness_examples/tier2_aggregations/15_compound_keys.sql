-- @app: compound_keys
-- @description: tables whose rows are identified by two columns
CREATE STREAM order_event (
    order_id STRING NOT NULL,
    customer_id STRING NOT NULL,
    status STRING NOT NULL,
    quantity INT,
    unit_price DECIMAL(10,2),
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'order_event',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM market_data (
    symbol STRING NOT NULL,
    exchange STRING,
    price DECIMAL(12,2),
    volume INT,
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'market_data',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

-- The groups' columns are the key: K03|paid.
CREATE TABLE orders_by_status AS
SELECT customer_id, status, COUNT(*) AS order_count, SUM(quantity * unit_price) AS order_value
FROM order_event
GROUP BY customer_id, status
WITH (
    'state.ttl' = '1d',
    'orders_by_status.type' = 'kafka_sink',
    'orders_by_status.topic' = 'orders_by_status',
    'orders_by_status.format' = 'json'
);

-- PRIMARY KEY says which columns are, and in which order: XLON|ACME. It holds the last five minutes of each.
CREATE TABLE venue_volume AS
SELECT exchange PRIMARY KEY, symbol PRIMARY KEY, SUM(volume) AS total_volume, AVG(price) AS average_price
FROM market_data
GROUP BY symbol, exchange
WINDOW TUMBLING(5m)
WITH (
    'venue_volume.type' = 'kafka_sink',
    'venue_volume.topic' = 'venue_volume',
    'venue_volume.format' = 'json'
);

-- A key of an expression and a column: high|BOLT.
CREATE TABLE price_bands AS
SELECT
    CASE WHEN price >= 100 THEN 'high' ELSE 'low' END AS price_band,
    symbol,
    COUNT(*) AS tick_count,
    MAX(price) AS highest_price
FROM market_data
GROUP BY price_band, symbol
WITH (
    'state.ttl' = '1d',
    'price_bands.type' = 'kafka_sink',
    'price_bands.topic' = 'price_bands',
    'price_bands.format' = 'json'
);
