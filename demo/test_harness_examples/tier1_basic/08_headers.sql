-- @app: headers
-- @description: reading the headers of records and writing more of them
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

-- Functions see the headers as they came, so origin is not yet among the names that HEADER_KEYS tells.
CREATE STREAM stamped_orders AS
SELECT
    id,
    amount,
    HEADER('_EVENT_TIME') AS event_time_header,
    HAS_HEADER('_EVENT_TIME') AS has_event_time,
    HAS_HEADER('origin') AS had_origin,
    HEADER_KEYS() AS header_names,
    SET_HEADER('origin', 'shop') AS origin,
    SET_HEADER('route', CONCAT('orders/', region)) AS route
FROM simple_record
WITH (
    'stamped_orders.type' = 'kafka_sink',
    'stamped_orders.topic' = 'stamped_orders',
    'stamped_orders.format' = 'json'
);
