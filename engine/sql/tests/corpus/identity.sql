CREATE STREAM orders (id INTEGER, v STRING) WITH ('type' = 'kafka', 'brokers' = 'b:1', 'partitioned.by' = 'id');
CREATE STREAM kept AS SELECT o._key, _TOPIC, HEADER('a') AS a, SET_HEADER('x', id), REMOVE_HEADER(v) AS gone FROM orders o
WHERE HAS_HEADER('a') AND _key <> 'k' WITH ('kept.type' = 'kafka', 'kept.brokers' = 'b:1');
CREATE STREAM sums AS SELECT a PRIMARY KEY, COUNT(*) AS n, HEADER_KEYS(), CASE WHEN COUNT(*) > 1 THEN SET_HEADER('n', COUNT(*)) END
FROM kept GROUP BY a EMIT CHANGES WITH ('sums.type' = 'kafka', 'sums.brokers' = 'b:1', 'sums.key.format' = 'json');
CREATE STREAM again AS SELECT n, _key, HEADER('n') AS h FROM sums LIMIT 3 WITH ('again.type' = 'kafka', 'again.brokers' = 'b:1');
