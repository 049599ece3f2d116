-- @app: file_passthrough
-- @description: a CSV file, row by row, into another one
-- The columns are those of the header, and their types those of the values.
CREATE STREAM output_trades AS
SELECT trade_id, symbol, side, price, quantity, traded_at
FROM input_trades
WITH (
    'input_trades.type' = 'file_source',
    'input_trades.path' = 'data/input_trades.csv',
    'input_trades.format' = 'csv',
    'output_trades.type' = 'file_sink',
    'output_trades.path' = 'output/output_trades.csv',
    'output_trades.format' = 'csv'
);
