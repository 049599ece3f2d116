-- W1 over topics: IN and OUT are topics.
CREATE STREAM trades (
    order_id INT, symbol STRING, trader_id INT, side STRING, venue STRING, price DECIMAL(18,4), quantity INT, event_time INT
) WITH (
    type = 'kafka', topic = '${IN}', format = 'json',
    'event.time.field' = 'event_time', 'watermark.strategy' = 'bounded_out_of_orderness',
    'watermark.max_out_of_orderness' = '1s'
);
CREATE STREAM w1 AS
SELECT order_id, symbol, price, quantity, price * quantity AS notional
FROM trades
WHERE quantity > 500 AND price > 100
WITH ('w1.type' = 'kafka', 'w1.topic' = '${OUT}', 'w1.format' = 'json');
