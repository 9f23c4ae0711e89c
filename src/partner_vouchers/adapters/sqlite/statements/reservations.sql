-- Reservations and limits in SQLite. A code is found by its id, so only its id is kept. A reservation is confirmed once its
-- code is assigned, so a confirmation does not change its row.

-- add_reservation --
INSERT INTO pv_reservations (id, code_id, list_id, user_id, origin, reserved_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- open_or_confirmed --
-- Part: the state of an open or confirmed reservation, and when it was confirmed.
CASE WHEN {is_open} THEN 'Open' ELSE 'Confirmed' END,
(SELECT n.assigned_at FROM pv_assignments AS n WHERE n.code_id = r.code_id)

-- is_open --
-- Part: whether such a reservation is open.
NOT EXISTS (SELECT 1 FROM pv_assignments AS n WHERE n.code_id = r.code_id)

-- open_reservation --
-- What an assignment of a reserved code needs, with the token of `catalog_versions` in place of the list. Each column costs,
-- so there is none for what the id of the reservation says.
SELECT c.code, r.user_id, r.origin, {last_ordinal}, (SELECT value FROM pv_settings WHERE name = 'catalog token')
FROM pv_reservations AS r {reservation_tables} WHERE {is_open_at}

-- list_of_reservation --
-- What a list says now, also a deleted one.
SELECT id, version, partner, tag, name, description, expires_at FROM pv_lists WHERE id = ?

-- open_of_lists --
-- Part: the open reservations of lists. No open one runs out before the instant that is kept with the stock.
pv_stock AS s CROSS JOIN pv_reservations AS r INDEXED BY pv_reservations_list

-- is_open_of_list --
-- Part: the condition of `open_of_lists`.
r.list_id = s.list_id AND r.expires_at >= s.next_run_out AND {is_open}

-- run_out_of_list --
SELECT {reservation_columns} FROM {open_of_lists} {reservation_tables}
WHERE s.list_id = ? AND {is_open_of_list} AND r.expires_at <= ? ORDER BY r.expires_at, r.id LIMIT ?

-- run_out_of_origin --
SELECT {reservation_columns} FROM {open_of_lists} {reservation_tables}
WHERE s.next_run_out <= ?2 AND {is_open_of_list} AND r.expires_at <= ?2 AND r.origin = ?1
ORDER BY r.expires_at, r.id LIMIT ?3

-- count_run_out_of_all --
SELECT {counted_run_out} FROM {open_of_lists}
WHERE s.next_run_out <= ?1 AND {is_open_of_list} AND r.expires_at <= ?1 GROUP BY r.list_id

-- reservations_of_list --
SELECT {reservation_columns} FROM {open_of_lists} {reservation_tables}
WHERE s.list_id = ? AND {is_open_of_list} AND (r.expires_at, r.id) > (?, ?) ORDER BY r.expires_at, r.id LIMIT ?

-- count_run_out --
SELECT {counted_run_out} FROM json_each(?) AS i CROSS JOIN {open_of_lists}
WHERE s.list_id = CAST(i.value AS bigint) AND {is_open_of_list} AND r.expires_at <= ? GROUP BY r.list_id

-- run_out_in_window --
SELECT count(*) FROM {open_of_lists}
WHERE s.next_run_out <= ?4 AND {is_open_of_list} AND r.expires_at <= ?4
  AND r.origin = ?1 AND r.reserved_at >= ?2 AND r.reserved_at < ?3

-- count_confirmed --
UPDATE pv_stock SET reserved = reserved - 1, distributed = distributed + 1 WHERE list_id = ?

-- count_confirmed_today --
-- Counts a reserved code as given on the latest day of the list, if it is that.
UPDATE pv_stock SET reserved = reserved - 1, distributed = distributed + 1, day_codes = day_codes + 1
WHERE list_id = ? AND day = ?

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

-- first_run_out --
-- Part: when the next open reservation of a list runs out.
SELECT r.expires_at FROM pv_reservations AS r INDEXED BY pv_reservations_list
WHERE r.list_id = pv_stock.list_id AND r.expires_at >= pv_stock.next_run_out AND {is_open}
ORDER BY r.expires_at LIMIT 1

-- refresh_next_run_out --
UPDATE pv_stock SET next_run_out = ({first_run_out}) WHERE list_id = ?

-- refresh_due_run_outs --
-- Looks again when the next reservation of each list runs out that has one due: it may have been confirmed.
UPDATE pv_stock SET next_run_out = ({first_run_out}) WHERE next_run_out <= ?

-- raise_limit_count --
INSERT INTO pv_limit_counts AS c (campaign_id, span, codes) VALUES (?, ?, ?)
ON CONFLICT (campaign_id, span) DO UPDATE SET codes = c.codes + excluded.codes

-- count_within_limit --
-- Counts codes in a window in which some were counted before, if there is room for them.
UPDATE pv_limit_counts SET codes = codes + ?1 WHERE campaign_id = ?2 AND span = ?3 AND codes + ?1 <= ?4

-- lower_limit_count --
UPDATE pv_limit_counts SET codes = codes + ?3 WHERE campaign_id = ?1 AND span = ?2
