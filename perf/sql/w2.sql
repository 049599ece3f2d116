-- W2: totals per symbol at the end of the input.
CREATE STREAM w2 AS
SELECT symbol, COUNT(*) AS trades, SUM(quantity) AS volume, SUM(price * quantity) AS notional, AVG(price) AS avg_price
FROM trades
GROUP BY symbol
EMIT FINAL
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'w2.type' = 'file_sink',
    'w2.path' = '${OUT}',
    'w2.format' = 'csv'
);
