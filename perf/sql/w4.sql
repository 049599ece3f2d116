-- W4: totals per symbol of ten seconds, a result each second. BOUND is how late a row may come before its window is closed to it; later ones
-- go to the dead letters.
CREATE STREAM w4 AS
SELECT symbol, _window_start AS window_start, COUNT(*) AS trades, SUM(quantity) AS volume,
       SUM(price * quantity) AS notional, AVG(price) AS avg_price
FROM trades
GROUP BY symbol
WINDOW SLIDING(10s, 1s)
EMIT FINAL
WITH (
    'trades.type' = 'file_source',
    'trades.path' = '${TRADES}',
    'trades.format' = '${FORMAT:csv}',
    'trades.event.time.field' = 'event_time',
    'trades.watermark.strategy' = 'bounded_out_of_orderness',
    'trades.watermark.max_out_of_orderness' = '${BOUND:0s}',
    'late.data.strategy' = 'dead_letter',
    'w4.type' = 'file_sink',
    'w4.path' = '${OUT}',
    'w4.format' = 'csv'
);
