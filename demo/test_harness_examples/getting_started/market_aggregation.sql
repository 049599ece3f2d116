-- @app: market_aggregation
-- @version: 1.0.0
-- @description: what each stock did in every ten seconds
-- @job_mode: adaptive
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

-- The key of a record is the stock, which stays in the value, too.
CREATE STREAM market_aggregates AS
SELECT
    symbol PRIMARY KEY,
    COUNT(*) AS trade_count,
    AVG(price) AS average_price,
    MIN(price) AS low_price,
    MAX(price) AS high_price,
    SUM(volume) AS total_volume,
    _window_start AS window_start,
    _window_end AS window_end
FROM market_data
GROUP BY symbol
WINDOW TUMBLING(10s)
WITH (
    'market_aggregates.type' = 'kafka_sink',
    'market_aggregates.topic' = 'market_aggregates',
    'market_aggregates.format' = 'json'
);
