/* Grouping, windows and chained statements. */
SET watermark.strategy = 'ascending';
CREATE STREAM IF NOT EXISTS trades (symbol STRING NOT NULL, price DECIMAL(10,2), ts TIMESTAMP, PRIMARY KEY (symbol),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('path' = 'trades.csv', 'format' = 'csv');
CREATE TABLE totals AS SELECT symbol PRIMARY KEY, SUM(price) total, AVG(price), MIN(price), MAX(ts), FIRST(price),
  LAST_VALUE(price), COUNT(*), COUNT(price) FROM trades GROUP BY symbol HAVING COUNT(*) > 1 EMIT CHANGES;
CREATE STREAM windows WITH ('windows.path' = 'w.jsonl') AS SELECT symbol, _window_start, window_end, SUM(price) AS s
  FROM trades WINDOW TUMBLING(ts, 5s, GRACE 1m) GROUP BY symbol;
SELECT total, COUNT(*) FROM totals GROUP BY 1;
SELECT COUNT(*) FROM trades WINDOW TUMBLING (SIZE 5 MINUTES, GRACE PERIOD 1 MINUTE) EMIT FINAL;
EXPLAIN VERBOSE SELECT s, TUMBLE_END() FROM windows GROUP BY s, TUMBLE(_event_time, '10 seconds');
