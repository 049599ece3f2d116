-- @app: file_case
-- @description: trades of a file in classes, as CSV
CREATE STREAM classed_trades AS
SELECT
    trade_id,
    symbol,
    price * quantity AS trade_value,
    CASE
        WHEN price * quantity >= 5000 THEN 'large'
        WHEN price * quantity >= 1000 THEN 'medium'
        ELSE 'small'
    END AS size_class
FROM input_trades
WITH (
    'input_trades.type' = 'file_source',
    'input_trades.path' = 'data/input_trades.csv',
    'input_trades.format' = 'csv',
    'classed_trades.type' = 'file_sink',
    'classed_trades.path' = 'output/classed_trades.csv',
    'classed_trades.format' = 'csv'
);
