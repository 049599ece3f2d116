-- @app: sliding_window
-- @description: how much prices of the last five minutes differ, told every minute
-- The topic and its times are described in configs/.
CREATE STREAM market_data (
    symbol STRING NOT NULL,
    exchange STRING,
    price DECIMAL(12,2),
    volume INT,
    event_time BIGINT NOT NULL
) WITH ('config_file' = 'configs/market_data_source.yaml');

-- Each tick counts in five windows. A deviation takes two prices.
CREATE STREAM price_spread AS
SELECT
    symbol,
    AVG(price) AS average_price,
    STDDEV(price) AS price_deviation,
    COUNT(*) AS tick_count,
    _window_start AS window_start,
    _window_end AS window_end
FROM market_data
GROUP BY symbol
WINDOW SLIDING(5m, 1m)
HAVING COUNT(*) >= 2
WITH (
    'price_spread.type' = 'kafka_sink',
    'price_spread.topic' = 'price_spread',
    'price_spread.format' = 'json'
);
