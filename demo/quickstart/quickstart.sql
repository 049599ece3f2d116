-- @app: quickstart
-- @description: a filter, a computed column and one-second bars over a small file
CREATE STREAM trades (
    order_id INT NOT NULL,
    symbol STRING NOT NULL,
    side STRING,
    price DECIMAL(10,2),
    quantity INT,
    event_time BIGINT
) WITH ('path' = 'trades.csv', 'event.time.field' = 'event_time', 'watermark.strategy' = 'ascending');

-- Trades worth more than 10,000, with their value.
CREATE STREAM large_trades AS
SELECT order_id, symbol, price * quantity AS notional
FROM trades
WHERE price * quantity > 10000
WITH ('large_trades.type' = 'stdout');

-- One row per symbol and second.
CREATE STREAM bars AS
SELECT symbol, FIRST(price) AS open, LAST(price) AS close, SUM(quantity) AS volume, _window_start
FROM trades
GROUP BY symbol
WINDOW TUMBLING(1s)
WITH ('bars.type' = 'stdout');
