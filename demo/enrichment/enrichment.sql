-- @app: enrichment
-- @description: trades beside the orders they fill and the desks that asked for them
CREATE STREAM orders (
    order_id INT NOT NULL,
    trader_id STRING NOT NULL,
    limit_price DECIMAL(10,2),
    order_time BIGINT
) WITH ('path' = 'orders.csv', 'event.time.field' = 'order_time', 'watermark.strategy' = 'ascending');

CREATE STREAM trades (
    order_id INT NOT NULL,
    symbol STRING NOT NULL,
    price DECIMAL(10,2),
    quantity INT,
    trade_time BIGINT
) WITH ('path' = 'trades.csv', 'event.time.field' = 'trade_time', 'watermark.strategy' = 'ascending');

-- Read to its end before the first trade is looked up.
CREATE TABLE traders (
    trader_id STRING PRIMARY KEY,
    desk STRING NOT NULL,
    credit_limit DECIMAL(12,2)
) WITH ('path' = 'traders.csv');

-- Each trade of an order within 3 seconds of it, with the desk; an order without one comes out with NULLs.
CREATE STREAM fills AS
SELECT o.order_id, r.desk, t.symbol, (o.limit_price - t.price) * t.quantity AS saved
FROM orders o
LEFT JOIN trades t WITHIN (0s, 3s) ON o.order_id = t.order_id
JOIN traders r ON o.trader_id = r.trader_id
WITH ('fills.type' = 'stdout');

-- Desks that trade without a limit, by a subquery.
CREATE STREAM unlimited AS
SELECT order_id AS unlimited_order, trader_id
FROM orders
WHERE trader_id IN (SELECT trader_id FROM traders WHERE credit_limit IS NULL)
WITH ('unlimited.type' = 'stdout');
