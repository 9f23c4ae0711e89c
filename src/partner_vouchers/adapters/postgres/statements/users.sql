-- Where ids of users are in PostgreSQL. An event without a position has a number instead, which is negated here.

-- events_with_text --
WITH asked (text) AS (SELECT CAST(? AS text))
SELECT position, name, payload FROM pv_events, asked WHERE code_id IS NULL AND instr(payload, text) > 0
UNION ALL
SELECT -id, name, payload FROM pv_outbox, asked WHERE code_id IS NULL AND instr(payload, text) > 0

-- replace_payload --
WITH new (payload, position) AS (SELECT CAST(? AS text), CAST(? AS bigint)),
unordered AS (UPDATE pv_outbox AS o SET payload = n.payload FROM new AS n WHERE o.id = -n.position)
UPDATE pv_events AS e SET payload = n.payload FROM new AS n WHERE e.position = n.position
