-- @app: casting
-- @description: one value in several types
CREATE STREAM simple_record (
    id BIGINT NOT NULL,
    customer STRING,
    region STRING,
    amount DECIMAL(10,2),
    quantity INT,
    active BOOLEAN,
    event_time BIGINT
) WITH (
    'type' = 'kafka_source',
    'topic' = 'simple_record',
    'format' = 'json'
);

-- A decimal loses its fraction as an integer, and gains digits behind the point as a wider decimal.
CREATE STREAM typed_orders AS
SELECT
    id,
    CAST(amount AS INTEGER) AS amount_whole,
    CAST(amount AS DECIMAL(12,4)) AS amount_exact,
    CAST(amount AS STRING) AS amount_text,
    CAST(quantity AS DECIMAL(8,2)) AS quantity_exact,
    CAST(quantity AS FLOAT) AS quantity_float,
    CAST(active AS STRING) AS active_text,
    CAST(event_time AS TIMESTAMP) AS ordered_at
FROM simple_record
WITH (
    'typed_orders.type' = 'kafka_sink',
    'typed_orders.topic' = 'typed_orders',
    'typed_orders.format' = 'json'
);
