-- Reservations and limits in SQLite. A code is found by its id, so only its id is kept.

-- add_reservation --
INSERT INTO pv_reservations (id, code_id, list_id, user_id, origin, reserved_at, expires_at, state)
VALUES (?1, ?2, ?4, ?5, ?6, ?7, ?8, 'Open')

-- count_reserved --
-- Counts codes that were taken on a day as reserved, and notes when the first of them may run out.
UPDATE pv_stock SET distributed = distributed - ?2, reserved = reserved + ?2,
    next_run_out = min(coalesce(next_run_out, ?3), ?3), day_codes = day_codes - CASE WHEN day = ?4 THEN ?2 ELSE 0 END
WHERE list_id = ?1

-- count_confirmed --
UPDATE pv_stock SET reserved = reserved - 1, distributed = distributed + 1 WHERE list_id = ?

-- count_given --
-- Counts a code as given on a day.
INSERT INTO pv_given AS g (list_id, day, codes) VALUES (?, ?, 1)
ON CONFLICT (list_id, day) DO UPDATE SET codes = g.codes + 1

-- count_returned --
UPDATE pv_stock SET reserved = reserved - ?2, returned = returned + ?2 WHERE list_id = ?1

-- count_returned_as_withdrawn --
UPDATE pv_stock SET reserved = reserved - ?2, withdrawn = withdrawn + ?2 WHERE list_id = ?1

-- add_returned --
INSERT INTO pv_returned (code_id) SELECT ?1 WHERE ?2 IS NOT NULL

-- refresh_next_run_out --
UPDATE pv_stock SET next_run_out =
    (SELECT min(expires_at) FROM pv_reservations WHERE list_id = ?1 AND state = 'Open')
WHERE list_id = ?1

-- put_limit_count --
INSERT INTO pv_limit_counts (campaign_id, span, codes) VALUES (?, ?, ?)

-- raise_limit_count --
INSERT INTO pv_limit_counts AS c (campaign_id, span, codes) VALUES (?, ?, ?)
ON CONFLICT (campaign_id, span) DO UPDATE SET codes = c.codes + excluded.codes

-- lower_limit_count --
UPDATE pv_limit_counts SET codes = codes + ?3 WHERE campaign_id = ?1 AND span = ?2
