-- @app: full_outer_join
-- @description: invoices and payments, matched or open
CREATE STREAM invoice_stream (
    invoice_id STRING NOT NULL,
    customer_id STRING,
    billed DECIMAL(10,2),
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'invoice_stream',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

CREATE STREAM payment_stream (
    payment_id STRING NOT NULL,
    invoice_id STRING NOT NULL,
    paid DECIMAL(10,2),
    event_time BIGINT NOT NULL
) WITH (
    'type' = 'kafka_source',
    'topic' = 'payment_stream',
    'format' = 'json',
    'event.time.field' = 'event_time',
    'watermark.strategy' = 'ascending'
);

-- Three pairs; invoices 2 and 5 without a payment, payment 4 without an invoice. Those come out once the watermark says
-- that no partner can come any more.
CREATE STREAM balances AS
SELECT
    COALESCE(i.invoice_id, p.invoice_id) AS invoice_id,
    COALESCE(i.customer_id, 'unknown') AS customer_id,
    COALESCE(i.billed, 0) AS billed,
    COALESCE(p.paid, 0) AS paid,
    COALESCE(i.billed, 0) - COALESCE(p.paid, 0) AS open_amount
FROM invoice_stream i
FULL OUTER JOIN payment_stream p WITHIN 2h ON i.invoice_id = p.invoice_id
WITH (
    'balances.type' = 'kafka_sink',
    'balances.topic' = 'balances',
    'balances.format' = 'json'
);
