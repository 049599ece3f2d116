-- @app: projection
-- @description: some columns, renamed, and others computed of them
-- Where the records are is in configs/, once for all that read the topic; the columns are declared here.
CREATE STREAM simple_record (
    id BIGINT NOT NULL,
    customer STRING,
    region STRING,
    amount DECIMAL(10,2),
    quantity INT,
    active BOOLEAN,
    event_time BIGINT
) WITH ('config_file' = 'configs/simple_record_source.yaml');

CREATE STREAM invoice_lines AS
SELECT
    id AS order_id,
    customer AS billed_to,
    amount * quantity AS net_total,
    amount * quantity * 0.07 AS tax,
    net_total + tax AS gross_total
FROM simple_record
WITH ('invoice_lines.config_file' = 'configs/invoice_lines_sink.yaml');
