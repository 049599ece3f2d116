-- @app: orders
-- @description: what assertions look at: a filter, a table, windows, a join, files, dead letters and metrics
CREATE STREAM orders (id BIGINT NOT NULL, customer STRING, region STRING, amount DECIMAL(10,2), created_at TIMESTAMP)
WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json',
      'event.time.field' = 'created_at', 'watermark.strategy' = 'ascending');

CREATE STREAM shipments (order_id BIGINT NOT NULL, carrier STRING, shipped_at TIMESTAMP)
WITH ('type' = 'kafka_source', 'topic' = 'shipments', 'format' = 'json',
      'event.time.field' = 'shipped_at', 'watermark.strategy' = 'ascending');

CREATE STREAM readings (id BIGINT NOT NULL, level DOUBLE, wait DOUBLE, event_time TIMESTAMP)
WITH ('type' = 'kafka_source', 'topic' = 'readings', 'format' = 'json');

CREATE STREAM scans (id BIGINT NOT NULL, weight STRING)
WITH ('type' = 'kafka_source', 'topic' = 'scans', 'format' = 'csv');

-- Most assertions are about these: records in, some of them out.
-- @metric: paid_orders_total
-- @metric_type: counter
-- @metric_labels: region
-- @metric: paid_last_amount
-- @metric_type: gauge
-- @metric_field: amount
-- @metric: paid_amount
-- @metric_type: histogram
-- @metric_field: amount
-- @metric_buckets: [50, 200]
CREATE STREAM paid AS
SELECT id PRIMARY KEY, customer, region, amount, 'EUR' AS currency, created_at FROM orders WHERE amount > 0
WITH ('paid.type' = 'kafka_sink', 'paid.topic' = 'paid', 'paid.format' = 'json');

-- A row for each change of a region's total.
CREATE TABLE running AS
SELECT region, COUNT(*) AS order_count, SUM(amount) AS total FROM orders GROUP BY region EMIT CHANGES
WITH ('running.type' = 'kafka_sink', 'running.topic' = 'running', 'running.format' = 'json');

CREATE TABLE totals AS
SELECT region, COUNT(*) AS order_count, SUM(amount) AS total, MAX(created_at) AS updated_at
FROM orders WHERE amount > 0 GROUP BY region EMIT FINAL
WITH ('totals.type' = 'kafka_sink', 'totals.topic' = 'totals', 'totals.format' = 'json');

CREATE TABLE minutes AS
SELECT region, COUNT(*) AS order_count, MIN(created_at) AS first_at, MAX(created_at) AS last_at,
       _window_start AS window_start, _window_end AS window_end
FROM orders GROUP BY region WINDOW TUMBLING(1m) EMIT FINAL
WITH ('minutes.type' = 'kafka_sink', 'minutes.topic' = 'minutes', 'minutes.format' = 'json');

CREATE STREAM shipped AS
SELECT o.id, o.customer, s.carrier FROM orders o
JOIN shipments s ON o.id = s.order_id AND s.shipped_at BETWEEN o.created_at AND o.created_at + INTERVAL '1' HOUR
WITH ('shipped.type' = 'kafka_sink', 'shipped.topic' = 'shipped', 'shipped.format' = 'json');

-- What is no line of two fields, the first of them a number, goes to scans-dlq; a weight that is no number to weights-dlq.
CREATE STREAM weights AS
SELECT id, CAST(weight AS INTEGER) AS grams FROM scans
WITH ('weights.type' = 'kafka_sink', 'weights.topic' = 'weights', 'weights.format' = 'json');

CREATE STREAM levels AS
SELECT id, level, wait, wait - 10 AS drift, event_time FROM readings
WITH ('levels.type' = 'kafka_sink', 'levels.topic' = 'levels', 'levels.format' = 'json');

CREATE STREAM ledger AS
SELECT id, customer, region, amount FROM orders
WITH ('ledger.type' = 'file_sink', 'ledger.path' = 'out/ledger.csv', 'ledger.format' = 'csv');

CREATE STREAM log AS
SELECT id, customer, amount FROM orders
WITH ('log.type' = 'file_sink', 'log.path' = 'out/log.jsonl', 'log.format' = 'jsonlines');
