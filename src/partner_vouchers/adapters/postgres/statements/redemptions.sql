-- What differs in PostgreSQL: rows come as columns, and are locked before they are looked at.

-- places_of_codes --
-- The ids under which scopes have codes, and those of codes whose place in a scope was taken over. `LIMIT` keeps the
-- server to the index.
SELECT i.value, c.code_id
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i CROSS JOIN LATERAL (
    SELECT code_id FROM pv_active_codes WHERE scope_id = CAST(s.value AS bigint) AND code = i.value LIMIT 1) AS c
UNION ALL
SELECT i.value, c.code_id FROM json_each(?) AS i CROSS JOIN pv_superseded_codes AS c WHERE c.code = i.value

-- unused_codes --
-- Codes of scopes that users have, with whether they were redeemed. A code that other entries have had is left out.
SELECT i.value, c.code_id, EXISTS (SELECT 1 FROM pv_redemptions AS r WHERE r.code_id = c.code_id)
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i CROSS JOIN LATERAL (
    SELECT code_id FROM pv_active_codes WHERE scope_id = CAST(s.value AS bigint) AND code = i.value LIMIT 1) AS c
CROSS JOIN LATERAL (SELECT code_id FROM pv_assignments WHERE code_id = c.code_id LIMIT 1) AS a
WHERE NOT {is_revoked} AND NOT EXISTS (SELECT 1 FROM pv_superseded_codes AS u WHERE u.code = i.value)

-- lock_available --
-- Keeps codes that nobody has from being taken. One that another transaction is taking is waited for.
SELECT c.id FROM json_each(?) AS i CROSS JOIN pv_codes AS c
WHERE c.id = CAST(i.value AS bigint) ORDER BY c.id FOR UPDATE OF c

-- lock_returned --
-- Keeps codes that came back from being taken.
SELECT c.code_id FROM json_each(?) AS i CROSS JOIN pv_returned AS c
WHERE c.code_id = CAST(i.value AS bigint) ORDER BY c.code_id FOR UPDATE OF c

-- lock_assigned --
-- Keeps assignments from being redeemed and revoked.
SELECT a.code_id FROM json_each(?) AS i CROSS JOIN pv_assignments AS a
WHERE a.code_id = CAST(i.value AS bigint) ORDER BY a.code_id FOR NO KEY UPDATE OF a

-- states_of_codes --
-- What became of codes that nobody was given; NULL for one that was withdrawn or is not published.
SELECT CAST(i.value AS bigint), CASE
    WHEN (SELECT count(*) FROM pv_retired WHERE code_id = CAST(i.value AS bigint)) > 0 THEN 'retired'
    WHEN (SELECT count(*) FROM pv_returned WHERE code_id = CAST(i.value AS bigint)) > 0 THEN 'available'
    WHEN (SELECT count(*) FROM pv_reservations
          WHERE code_id = CAST(i.value AS bigint)) > 0 THEN 'reserved'
    WHEN (SELECT c.id FROM pv_codes AS c WHERE c.id = CAST(i.value AS bigint))
        <= (SELECT s.published FROM pv_stock AS s WHERE s.list_id = CAST(i.value AS bigint) >> 32) THEN 'available' END
FROM json_each(?) AS i

-- count_retired --
-- Counts codes of a list as retired. Those that had come back are not counted apart.
UPDATE pv_stock SET retired = retired + g.codes
FROM (VALUES (CAST(? AS bigint), CAST(? AS integer), CAST(? AS integer))) AS g (number, codes, returned)
WHERE list_id = g.number

-- add_redemptions --
INSERT INTO pv_redemptions (code_id, number, order_id, redeemed_at, recorded_at, amount, late, reverted_at)
SELECT * FROM unnest(?::bigint[], ?::integer[], ?::text[], ?::bigint[], ?::bigint[], ?::text[], ?::boolean[], ?::bigint[])

-- add_code_events --
-- Events that what is stored about a code tells; `payload` says which of its redemptions.
INSERT INTO pv_outbox (code_id, name, payload)
SELECT code_id, name, payload FROM unnest(?::bigint[], ?::text[], ?::text[])
    WITH ORDINALITY AS g (code_id, name, payload, place) ORDER BY place

-- next_report_id --
SELECT nextval('pv_report_ids')

-- add_report_rows --
INSERT INTO pv_report_rows (id, kind, cells, code_id, fault)
SELECT * FROM unnest(?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::text[])
