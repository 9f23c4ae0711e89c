-- What differs in SQLite: rows come one by one. Many answers come as one JSON list, which costs less than rows.

-- places_of_codes --
-- The ids that scopes have of codes: those of all codes in the first scope, then in the next one; 0 where it has none.
SELECT json_group_array(coalesce((SELECT c.code_id FROM pv_active_codes AS c WHERE c.scope_id = s.value AND c.code = i.value), 0))
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i

-- held_codes --
-- The codes that users have and that were never redeemed; those whose only redemption counts, and its orders.
SELECT json_group_array(a.code_id) FILTER (WHERE a.code_id IS NOT NULL),
    json_group_array(r.code_id) FILTER (WHERE r.code_id IS NOT NULL AND r.reverted_at IS NULL),
    json_group_array(r.order_id) FILTER (WHERE r.code_id IS NOT NULL AND r.reverted_at IS NULL)
FROM {held_codes_from}

-- states_of_codes --
-- What became of codes that nobody was given; NULL for one that was withdrawn or is not published.
SELECT i.value, CASE
    WHEN EXISTS (SELECT 1 FROM pv_retired WHERE code_id = i.value) THEN 'retired'
    WHEN EXISTS (SELECT 1 FROM pv_returned WHERE code_id = i.value) THEN 'available'
    WHEN EXISTS (SELECT 1 FROM pv_reservations WHERE code_id = i.value) THEN 'reserved'
    WHEN c.id IS NULL OR c.id > s.published OR EXISTS (
        SELECT 1 FROM (SELECT last FROM pv_dead_ranges WHERE first <= c.id ORDER BY first DESC LIMIT 1)
        WHERE last >= c.id) THEN NULL
    WHEN c.id > s.cursor THEN 'available' END
FROM json_each(?) AS i CROSS JOIN pv_stock AS s LEFT JOIN pv_codes AS c ON c.id = i.value
WHERE s.list_id = i.value >> 32

-- count_retired --
-- Counts codes of a list as retired, of which some had come back.
UPDATE pv_stock SET retired = retired + ?2, returned = returned - ?3 WHERE list_id = ?1

-- add_redemptions --
INSERT INTO pv_redemptions (code_id, number, order_id, redeemed_at, recorded_at, amount, late, reverted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- add_code_events --
-- Events that what is stored about a code tells; `payload` says which of its redemptions, with a minus sign where that had
-- no order at the time.
INSERT INTO pv_events (code_id, name, payload, nonce) VALUES (?, ?, ?, random())

-- add_first_redemptions --
INSERT INTO pv_redemptions (code_id, number, order_id, redeemed_at, recorded_at, amount, late)
VALUES (?, 1, ?, ?, ?, ?, ?)

-- add_redeemed_events --
-- The events of the first redemptions of codes. The id of a code is negative where the redemption has no order.
INSERT INTO pv_events (code_id, name, payload, nonce)
SELECT abs(i.value), 'code.redeemed', CASE WHEN i.value < 0 THEN '-1' ELSE '1' END, random() FROM json_each(?) AS i

-- next_report_id --
UPDATE pv_sequences SET last = last + 1 WHERE name = 'report' RETURNING last

-- codes_of_report_rows --
SELECT c.id, c.code FROM json_each(?) AS i CROSS JOIN pv_codes AS c WHERE c.id = i.value
