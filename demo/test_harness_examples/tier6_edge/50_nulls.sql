-- @app: nulls
-- @description: values that are missing, and what stands in for them
-- The topic is described in configs/.
CREATE STREAM sensor_readings (
    sensor_id STRING NOT NULL,
    temperature FLOAT,
    humidity FLOAT,
    site STRING,
    event_time BIGINT
) WITH ('config_file' = 'configs/sensor_readings_source.yaml');

CREATE STREAM complete_readings AS
SELECT
    sensor_id,
    COALESCE(site, 'unknown') AS site,
    COALESCE(temperature, 20.0) AS temperature,
    COALESCE(humidity, 50.0) AS humidity,
    CASE WHEN temperature IS NULL THEN 1 ELSE 0 END AS temperature_missing,
    CASE WHEN humidity IS NULL THEN 1 ELSE 0 END AS humidity_missing
FROM sensor_readings
WITH (
    'complete_readings.type' = 'kafka_sink',
    'complete_readings.topic' = 'complete_readings',
    'complete_readings.format' = 'json'
);
