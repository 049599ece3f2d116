-- @app: simple_passthrough
-- @description: the smallest app: a topic into another one
--
-- It has neither a spec nor a data schema: velo-test makes a spec of the statement, and records of these hints.
-- @data.source: price_feed
-- @data.record_count: 20
-- @data.symbol: enum [ACME, BOLT, CRUX]
-- @data.price.type: decimal(2)
-- @data.price: range [10, 90]
-- @data.volume.type: integer
-- @data.volume: range [1, 500]
CREATE STREAM price_feed (
    symbol STRING NOT NULL,
    price DECIMAL(12,2),
    volume INT
) WITH ('type' = 'kafka_source', 'topic' = 'price_feed', 'format' = 'json');

CREATE STREAM market_copy AS
SELECT symbol, price, volume
FROM price_feed
WITH (
    'market_copy.type' = 'kafka_sink',
    'market_copy.topic' = 'market_copy',
    'market_copy.format' = 'json'
);
