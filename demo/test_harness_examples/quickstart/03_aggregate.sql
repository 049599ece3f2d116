-- @app: aggregate_rows
-- @description: what each stall has sold so far
-- A table tells its group anew with every row, so the last row of a stall is its total. In a file each row says in
-- __deleted whether it left the table; here none does.
CREATE TABLE totals_output AS
SELECT stall, COUNT(*) AS sales, SUM(pieces) AS pieces, SUM(pieces * price) AS revenue
FROM sales
GROUP BY stall
WITH (
    'sales.type' = 'file_source',
    'sales.path' = 'data/sales.csv',
    'sales.format' = 'csv',
    'totals_output.type' = 'file_sink',
    'totals_output.path' = 'output/totals_output.csv',
    'totals_output.format' = 'csv'
);
