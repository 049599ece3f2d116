-- W7: each trade beside the one before it and the mean of the last ten of its symbol. TRADES is a path or glob, FORMAT csv
-- or jsonl, OUT the CSV file to write.
CREATE STREAM w7 AS
SELECT order_id, symbol, price,
       LAG(price) OVER (PARTITION BY symbol ORDER BY event_time ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS previous,
       AVG(price) OVER (PARTITION BY symbol ORDER BY event_time ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS average
FROM trades
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'w7.type' = 'file_sink',
    'w7.path' = '${OUT}',
    'w7.format' = 'csv'
);
