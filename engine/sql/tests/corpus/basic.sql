-- Projection, filter, aliases and every operator.
SELECT symbol, price p, quantity * price AS value, -quantity, quantity % 3, price / 2, symbol || '/' || quantity
FROM 'trades.csv' t
WHERE t.price > 10.50 AND NOT (symbol = 'A' OR symbol IN ('B', 'C')) AND quantity BETWEEN 1 AND 100
  AND ts >= '2026-01-01' AND symbol IS NOT DISTINCT FROM symbol AND price IS NOT NULL
LIMIT 10;
SELECT CASE WHEN ok THEN 1 ELSE 0 END, CASE symbol WHEN 'a' THEN price END, CAST(price AS STRING),
  TRY_CAST(symbol AS DECIMAL(10, 2)), COALESCE(price, 0), IFNULL(symbol, ''), NULLIF(symbol, 'x'), *, t.*
FROM 'trades.csv' AS t EMIT CHANGES INTO 'outs.jsonl' WITH ('a' = 'b', c.d = 5, e = TRUE,);
