-- W5: each trade with the desk and tier of its trader. TRADES is a path or glob, TRADERS the file of the table, FORMAT csv or
-- jsonl of both, OUT the CSV file to write.
CREATE STREAM w5 AS
SELECT t.order_id, t.symbol, t.price, t.quantity, r.desk, r.tier
FROM trades AS t
JOIN traders AS r ON t.trader_id = r.trader_id
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'traders.type' = 'file_source',
    'traders.path' = '${TRADERS}',
    'traders.format' = '${FORMAT:csv}',
    'w5.type' = 'file_sink',
    'w5.path' = '${OUT}',
    'w5.format' = 'csv'
);
