-- @app: debug_demo
-- @description: three stages to walk through: velo-test debug debug_demo.sql
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

-- Stage 1: trades of some size.
-- @job_mode: simple
CREATE STREAM sized_trades AS
SELECT symbol, price, volume, price * volume AS trade_value
FROM market_data
WHERE volume >= 100
WITH (
    'sized_trades.type' = 'kafka_sink',
    'sized_trades.topic' = 'sized_trades',
    'sized_trades.format' = 'json'
);

-- Stage 2: a minute of each stock.
-- @job_mode: adaptive
CREATE STREAM minute_values AS
SELECT symbol, COUNT(*) AS trade_count, SUM(trade_value) AS minute_value, _window_end AS minute_end
FROM sized_trades
GROUP BY symbol
WINDOW TUMBLING(1m)
WITH (
    'minute_values.type' = 'kafka_sink',
    'minute_values.topic' = 'minute_values',
    'minute_values.format' = 'json'
);

-- Stage 3: minutes that somebody should look at.
-- @job_mode: simple
CREATE STREAM busy_minutes AS
SELECT symbol, minute_end, minute_value, CASE WHEN trade_count > 3 THEN 'many' ELSE 'few' END AS trades
FROM minute_values
WHERE minute_value > 100000
WITH (
    'busy_minutes.type' = 'kafka_sink',
    'busy_minutes.topic' = 'busy_minutes',
    'busy_minutes.format' = 'json'
);
