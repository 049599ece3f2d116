-- @app: tumbling_window
-- @description: bars of a minute for each stock
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

-- A minute comes out once, when the watermark has passed its end; the last ones do at the end of the input. The key of
-- a windowed table is its groups' columns and the start of the window.
CREATE TABLE minute_bars AS
SELECT
    symbol,
    FIRST(price) AS open_price,
    MAX(price) AS high_price,
    MIN(price) AS low_price,
    LAST(price) AS close_price,
    SUM(volume) AS total_volume,
    COUNT(*) AS tick_count,
    _window_start AS window_start,
    _window_end AS window_end
FROM market_data
GROUP BY symbol
WINDOW TUMBLING(1m)
EMIT FINAL
WITH (
    'minute_bars.type' = 'kafka_sink',
    'minute_bars.topic' = 'minute_bars',
    'minute_bars.format' = 'json'
);
