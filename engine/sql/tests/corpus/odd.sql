SELECT `odd ``name`, "symbol", "x""y", 'it''s', .5, 1e-5, 99999999999999999999, 5L FROM "trades.csv" WITH ('x' = -5);
SELECT a FROM kafka://h:9092/topic WHERE größe = 'ä' AND ts - 5s > INTERVAL 2 HOURS; SELECT 1;;
SELECT window, rows, type FROM 'trades.csv' window WINDOW TUMBLING(5) GROUP BY 1; SELECT x LIKE 'a%';
INSERT INTO t VALUES (1); SELECT a == b; SELECT k FROM t JOIN u ON a = b; SELECT RANK() OVER (ORDER BY a);
CREATE STREAM a AS SELECT * FROM b; CREATE STREAM b AS SELECT * FROM a; SELECT DATE '2026-01-01', TIMESTAMP 'x';
SELECT ((((a))), [1], {2} FROM t @ # $1 ? : :: := => -> ~ !~ ^ & | \ ` 'open
