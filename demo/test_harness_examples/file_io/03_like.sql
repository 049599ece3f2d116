-- @app: file_like
-- @description: trades of a file whose symbol fits a pattern, as JSON lines
CREATE STREAM matching_trades AS
SELECT trade_id, symbol, side
FROM input_trades
WHERE symbol LIKE '_O%' OR symbol LIKE 'DYNE%'
WITH (
    'input_trades.type' = 'file_source',
    'input_trades.path' = 'data/input_trades.csv',
    'input_trades.format' = 'csv',
    'matching_trades.type' = 'file_sink',
    'matching_trades.path' = 'output/matching_trades.jsonl',
    'matching_trades.format' = 'jsonlines'
);
