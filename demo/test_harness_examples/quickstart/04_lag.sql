-- @app: compare_rows
-- @description: each sale beside the one before it at the same stall
CREATE STREAM steps_output AS
SELECT
    sale_id,
    stall,
    pieces,
    LAG(pieces, 1, 0) OVER (PARTITION BY stall ORDER BY sale_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS pieces_before,
    pieces - pieces_before AS step
FROM sales
WITH (
    'sales.type' = 'file_source',
    'sales.path' = 'data/sales.csv',
    'sales.format' = 'csv',
    'steps_output.type' = 'file_sink',
    'steps_output.path' = 'output/steps_output.csv',
    'steps_output.format' = 'csv'
);
