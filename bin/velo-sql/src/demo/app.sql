-- @app: market_demo
-- @description: trades to notional values, one-second bars and volume alerts
CREATE STREAM market_data (
    symbol STRING,
    price DECIMAL(12,4),
    quantity INT,
    side STRING,
    event_time BIGINT
) WITH (
    'type' = 'kafka',
    'topic' = 'market_data',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'bounded_out_of_orderness',
    'watermark.max_out_of_orderness' = '100ms'
);

-- Computed columns and a filter: cancelled trades have no quantity.
CREATE STREAM priced AS
SELECT symbol, price, quantity, price * quantity AS notional,
       CASE WHEN side = 'BUY' THEN quantity ELSE -quantity END AS signed_quantity
FROM market_data
WHERE quantity > 0 AND price > 0;

-- Open, high, low, close and volume of each symbol and second.
CREATE STREAM ohlc_1s AS
SELECT symbol,
       FIRST(price) AS open, MAX(price) AS high, MIN(price) AS low, LAST(price) AS close,
       SUM(quantity) AS volume, SUM(notional) AS notional, SUM(signed_quantity) AS imbalance, COUNT(*) AS trades,
       _window_end AS second_end
FROM priced
GROUP BY symbol
WINDOW TUMBLING(1s)
EMIT FINAL
WITH ('ohlc_1s.type' = 'kafka', 'ohlc_1s.topic' = 'ohlc_1s');

-- Seconds in which a symbol traded in far larger lots than usual: about 50 shares.
CREATE STREAM volume_alerts AS
SELECT symbol, volume, trades, imbalance, close, second_end
FROM ohlc_1s
WHERE volume > 150 * trades
WITH ('volume_alerts.type' = 'kafka', 'volume_alerts.topic' = 'volume_alerts');
