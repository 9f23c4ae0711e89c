-- What differs in SQLite: rows come one by one.

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
-- Events that what is stored about a code tells; `payload` says which of its redemptions.
INSERT INTO pv_events (code_id, name, payload, nonce) VALUES (?, ?, ?, random())

-- next_report_id --
UPDATE pv_sequences SET last = last + 1 WHERE name = 'report' RETURNING last

-- add_report_rows --
INSERT INTO pv_report_rows (id, kind, cells, code_id, fault) VALUES (?, ?, ?, ?, ?)
