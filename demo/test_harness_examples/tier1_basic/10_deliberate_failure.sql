-- @app: deliberate_failure
-- @description: a correct query whose test asks for what it does not give
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

CREATE STREAM plain_orders AS
SELECT id, region, amount
FROM simple_record
WITH (
    'plain_orders.type' = 'kafka_sink',
    'plain_orders.topic' = 'plain_orders',
    'plain_orders.format' = 'json'
);
