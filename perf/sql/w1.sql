-- W1: projection and filter. TRADES is a path or glob, FORMAT csv or jsonl, OUT the CSV file to write.
CREATE STREAM w1 AS
SELECT order_id, symbol, price, quantity, price * quantity AS notional
FROM trades
WHERE quantity > 500 AND price > 100
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'w1.type' = 'file_sink',
    'w1.path' = '${OUT}',
    'w1.format' = 'csv'
);
