-- @app: row_number
-- @description: the place of each tick among the last ones of its stock
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

-- Ticks of one volume share a rank: RANK leaves out the places behind them, DENSE_RANK does not.
CREATE STREAM tick_ranks AS
SELECT
    symbol,
    volume,
    ROW_NUMBER() OVER (
        ROWS WINDOW BUFFER 100 ROWS PARTITION BY symbol ORDER BY volume DESC EXPIRE AFTER NEVER
    ) AS place,
    RANK() OVER (
        ROWS WINDOW BUFFER 100 ROWS PARTITION BY symbol ORDER BY volume DESC EXPIRE AFTER NEVER
    ) AS volume_rank,
    DENSE_RANK() OVER (
        ROWS WINDOW BUFFER 100 ROWS PARTITION BY symbol ORDER BY volume DESC EXPIRE AFTER NEVER
    ) AS dense_volume_rank,
    event_time
FROM market_data
WITH (
    'tick_ranks.type' = 'kafka_sink',
    'tick_ranks.topic' = 'tick_ranks',
    'tick_ranks.format' = 'json'
);
