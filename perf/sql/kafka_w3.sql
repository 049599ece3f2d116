-- W3 over topics: IN and OUT are topics.
CREATE STREAM trades (
    order_id INT, symbol STRING, trader_id INT, side STRING, venue STRING, price DECIMAL(18,4), quantity INT, event_time INT
) WITH (
    type = 'kafka', topic = '${IN}', format = 'json',
    'event.time.field' = 'event_time', 'watermark.strategy' = 'bounded_out_of_orderness',
    'watermark.max_out_of_orderness' = '1s'
);
CREATE STREAM w3 AS
SELECT symbol, _window_start AS window_start, COUNT(*) AS trades, SUM(quantity) AS volume,
       SUM(price * quantity) AS notional, AVG(price) AS avg_price
FROM trades
GROUP BY symbol
WINDOW TUMBLING(1s)
EMIT FINAL
WITH ('w3.type' = 'kafka', 'w3.topic' = '${OUT}', 'w3.format' = 'json');
