-- @app: lag_lead
-- @description: each price beside the one before it
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

-- A row is computed once, when it comes, so the tick behind the newest one is not there yet: LEAD gives its default,
-- which is what validation warns of.
CREATE STREAM price_steps AS
SELECT
    symbol,
    price,
    LAG(price, 1, price) OVER (
        ROWS WINDOW BUFFER 50 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS previous_price,
    LEAD(price, 1, price) OVER (
        ROWS WINDOW BUFFER 50 ROWS PARTITION BY symbol ORDER BY event_time EXPIRE AFTER NEVER
    ) AS next_price,
    price - previous_price AS price_step,
    event_time
FROM market_data
WITH (
    'price_steps.type' = 'kafka_sink',
    'price_steps.topic' = 'price_steps',
    'price_steps.format' = 'json'
);
