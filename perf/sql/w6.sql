-- W6: each trade with its order, placed up to 300 ms before it. TRADES is a path or glob, ORDERS a file, FORMAT csv or jsonl of
-- both, BOUND how far trades may be out of order, OUT the CSV file to write. A file on the joined side is a table unless
-- it is declared. poll_interval is for runs that follow their files.
CREATE STREAM orders (
    order_id INT, trader_id INT, order_symbol STRING, limit_price DECIMAL(18,4), order_time INT
) WITH (
    type = 'file_source', path = '${ORDERS}', format = '${FORMAT:csv}', 'event.time.field' = 'order_time',
    'watermark.strategy' = 'ascending', 'poll_interval' = '20ms'
);
CREATE STREAM w6 AS
SELECT t.order_id, t.symbol, t.price, t.quantity, o.limit_price
FROM trades AS t
JOIN orders AS o ON t.order_id = o.order_id
    AND t._event_time BETWEEN o._event_time AND o._event_time + INTERVAL '300' MILLISECOND
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'trades.event.time.field' = 'event_time',
    'trades.watermark.strategy' = 'bounded_out_of_orderness',
    'trades.watermark.max_out_of_orderness' = '${BOUND:0s}',
    'trades.poll_interval' = '20ms',
    'w6.type' = 'file_sink',
    'w6.path' = '${OUT}',
    'w6.format' = 'csv'
);
