-- @app: rows_buffer
-- @description: the last twenty ticks of each stock in figures
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

-- The buffer holds the twenty latest rows of its partition. One price has no deviation yet, so it counts as 0.
CREATE STREAM recent_ticks AS
SELECT
    symbol,
    price,
    AVG(price) OVER (
        ROWS WINDOW BUFFER 20 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS recent_average,
    COALESCE(STDDEV(price) OVER (
        ROWS WINDOW BUFFER 20 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ), 0) AS recent_deviation,
    MIN(price) OVER (
        ROWS WINDOW BUFFER 20 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS recent_low,
    MAX(price) OVER (
        ROWS WINDOW BUFFER 20 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS recent_high,
    COUNT(*) OVER (
        ROWS WINDOW BUFFER 20 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS recent_count,
    recent_high - recent_low AS recent_range,
    event_time
FROM market_data
WITH (
    'recent_ticks.type' = 'kafka_sink',
    'recent_ticks.topic' = 'recent_ticks',
    'recent_ticks.format' = 'json'
);
