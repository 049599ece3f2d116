-- @app: running_agg
-- @description: totals that grow with every tick
-- The topic and its times are described in configs/.
CREATE STREAM market_data (
    symbol STRING NOT NULL,
    exchange STRING,
    price DECIMAL(12,2),
    volume INT,
    event_time BIGINT NOT NULL
) WITH ('config_file' = 'configs/market_data_source.yaml');

-- Each row sums the rows of its stock up to itself, at most the last thousand.
CREATE STREAM running_totals AS
SELECT
    symbol,
    volume,
    SUM(volume) OVER (
        ROWS WINDOW BUFFER 1000 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS running_volume,
    AVG(price) OVER (
        ROWS WINDOW BUFFER 1000 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS running_average,
    COUNT(*) OVER (
        ROWS WINDOW BUFFER 1000 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS running_count,
    event_time
FROM market_data
WITH (
    'running_totals.type' = 'kafka_sink',
    'running_totals.topic' = 'running_totals',
    'running_totals.format' = 'json'
);
