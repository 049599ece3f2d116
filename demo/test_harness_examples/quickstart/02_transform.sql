-- @app: transform_rows
-- @description: texts in capitals, and a number in another unit
CREATE STREAM capitals_output AS
SELECT
    UPPER(city) AS city,
    UPPER(LEFT(country, 3)) AS country_code,
    ROUND(inhabitants / 1000) AS thousands
FROM cities
WITH (
    'cities.type' = 'file_source',
    'cities.path' = 'data/cities.csv',
    'cities.format' = 'csv',
    'capitals_output.type' = 'file_sink',
    'capitals_output.path' = 'output/capitals_output.csv',
    'capitals_output.format' = 'csv'
);
