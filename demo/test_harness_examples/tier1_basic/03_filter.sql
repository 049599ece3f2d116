-- @app: filter
-- @description: records that meet three conditions
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

CREATE STREAM worthwhile_orders AS
SELECT id, region, amount, quantity, active
FROM simple_record
WHERE active AND amount > 50 AND quantity >= 5
WITH (
    'worthwhile_orders.type' = 'kafka_sink',
    'worthwhile_orders.topic' = 'worthwhile_orders',
    'worthwhile_orders.format' = 'json'
);
