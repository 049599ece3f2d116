-- @app: passthrough
-- @description: every record, column by column, from one topic to another
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

CREATE STREAM passthrough_output AS
SELECT id, customer, region, amount, quantity, active, event_time
FROM simple_record
WITH (
    'passthrough_output.type' = 'kafka_sink',
    'passthrough_output.topic' = 'passthrough_output',
    'passthrough_output.format' = 'json'
);
