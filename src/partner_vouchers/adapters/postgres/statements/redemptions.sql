-- What differs in PostgreSQL: rows come as columns, and are locked before they are looked at.

-- places_of_codes --
-- The ids that scopes have of codes: those of all codes in the first scope, then in the next one; 0 where it has none.
SELECT CAST(json_agg(coalesce(
    (SELECT c.code_id FROM pv_active_codes AS c WHERE c.scope_id = CAST(s.value AS bigint) AND c.code = i.value), 0)
    ORDER BY s.key, i.key) AS text)
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i

-- held_codes --
-- The codes that users have and that were never redeemed; those whose only redemption counts, and its orders.
SELECT CAST(json_agg(a.code_id ORDER BY i.key) FILTER (WHERE a.code_id IS NOT NULL) AS text),
    CAST(json_agg(r.code_id ORDER BY i.key) FILTER (WHERE r.code_id IS NOT NULL AND r.reverted_at IS NULL) AS text),
    CAST(json_agg(r.order_id ORDER BY i.key) FILTER (WHERE r.code_id IS NOT NULL AND r.reverted_at IS NULL) AS text)
FROM {held_codes_from}

-- codes_of_report_rows --
SELECT a.code_id, a.code FROM json_each(?) AS i CROSS JOIN pv_assignments AS a WHERE a.code_id = CAST(i.value AS bigint)

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
-- Events that what is stored about a code tells; `payload` says which of its redemptions, with a minus sign where that had
-- no order at the time.
INSERT INTO pv_outbox (code_id, name, payload)
SELECT code_id, name, payload FROM unnest(?::bigint[], ?::text[], ?::text[])
    WITH ORDINALITY AS g (code_id, name, payload, place) ORDER BY place

-- add_first_redemptions --
INSERT INTO pv_redemptions (code_id, number, order_id, redeemed_at, recorded_at, amount, late)
SELECT code_id, 1, order_id, redeemed_at, recorded_at, amount, late
FROM unnest(?::bigint[], ?::text[], ?::bigint[], ?::bigint[], ?::text[], ?::integer[]::boolean[])
    AS g (code_id, order_id, redeemed_at, recorded_at, amount, late)

-- add_redeemed_events --
-- The events of the first redemptions of codes. The id of a code is negative where the redemption has no order.
INSERT INTO pv_outbox (code_id, name, payload)
SELECT abs(CAST(i.value AS bigint)), 'code.redeemed', CASE WHEN CAST(i.value AS bigint) < 0 THEN '-1' ELSE '1' END
FROM json_each(?) AS i ORDER BY i.key

-- next_report_id --
SELECT nextval('pv_report_ids')
