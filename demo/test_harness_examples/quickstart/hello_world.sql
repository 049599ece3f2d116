-- @app: hello_world
-- @description: all of a file into another one
CREATE STREAM hello_output AS
SELECT *
FROM cities
WITH (
    'cities.type' = 'file_source',
    'cities.path' = 'data/cities.csv',
    'cities.format' = 'csv',
    'hello_output.type' = 'file_sink',
    'hello_output.path' = 'output/hello_output.csv',
    'hello_output.format' = 'csv'
);
