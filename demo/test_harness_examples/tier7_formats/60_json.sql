-- @app: json
-- @description: keys and values in JSON on both sides
-- The columns are declared, with a date and a time that JSON has as texts.
CREATE STREAM trade_record (
    trade_id STRING NOT NULL,
    symbol STRING,
    side STRING,
    price DECIMAL(12,4),
    quantity INT,
    traded_on DATE,
    event_time TIMESTAMP
) WITH (
    'type' = 'kafka_source',
    'topic' = 'trade_record',
    'key.serializer' = 'string',
    'value.serializer' = 'json'
);

-- With key.serializer = json the key is an object: {"trade_id":"T-00000001"}.
CREATE STREAM json_trades AS
SELECT
    trade_id PRIMARY KEY,
    symbol,
    side,
    price,
    quantity,
    price * quantity AS trade_value,
    traded_on,
    event_time
FROM trade_record
WITH (
    'json_trades.type' = 'kafka_sink',
    'json_trades.topic' = 'json_trades',
    'json_trades.key.serializer' = 'json',
    'json_trades.value.serializer' = 'json'
);
