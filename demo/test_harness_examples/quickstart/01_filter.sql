-- @app: filter_rows
-- @description: the cities of a file that lie at the sea
CREATE STREAM coast_output AS
SELECT city, country, inhabitants
FROM cities
WHERE coast AND inhabitants > 100000
WITH (
    'cities.type' = 'file_source',
    'cities.path' = 'data/cities.csv',
    'cities.format' = 'csv',
    'coast_output.type' = 'file_sink',
    'coast_output.path' = 'output/coast_output.csv',
    'coast_output.format' = 'csv'
);
