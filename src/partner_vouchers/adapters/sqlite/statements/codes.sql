-- The codes in SQLite: an append-only log for each list, and a cursor that moves along it.

-- next_codes --
-- The next codes of a list, with its counters; one row without a code if there is none.
SELECT c.id, c.code, s.skip_from, s.returned, s.next_run_out, s.day, {counters}
FROM pv_stock AS s LEFT JOIN pv_codes AS c ON c.id > s.cursor AND c.id <= s.published
WHERE s.list_id = ? ORDER BY c.id LIMIT ?

-- advance_cursor --
-- Moves the cursor of a list to an id, and counts codes as distributed, and as given on the latest day.
UPDATE pv_stock SET cursor = ?, distributed = distributed + ?, day_codes = day_codes + ? WHERE list_id = ?

-- advance_cursor_and_reserve --
-- Moves the cursor of a list to an id, and counts codes as reserved.
UPDATE pv_stock SET cursor = ?, reserved = reserved + ? WHERE list_id = ?

-- set_next_run_out --
UPDATE pv_stock SET next_run_out = ? WHERE list_id = ?

-- move_cursor --
UPDATE pv_stock SET cursor = ? WHERE list_id = ?

-- count_distributed --
-- Counts codes as distributed, and as given on the latest day.
UPDATE pv_stock SET distributed = distributed + ?, day_codes = day_codes + ? WHERE list_id = ?

-- count_reserved --
UPDATE pv_stock SET reserved = reserved + ? WHERE list_id = ?

-- keep_day --
-- Keeps how many codes of a list were given on its latest day.
INSERT INTO pv_given AS g (list_id, day, codes) SELECT list_id, day, day_codes FROM pv_stock WHERE list_id = ? AND day_codes <> 0
ON CONFLICT (list_id, day) DO UPDATE SET codes = g.codes + excluded.codes

-- begin_day --
UPDATE pv_stock SET day = ?, day_codes = 0 WHERE list_id = ?

-- stock_of_list --
-- Where the cursor of a list is, where its codes end, what came back, its latest day, and its counters.
SELECT s.cursor, s.published, s.returned, s.next_run_out, s.day, {counters} FROM pv_stock AS s WHERE s.list_id = ?

-- returned_codes --
-- Codes of a list that came back, between two ids.
SELECT r.code_id, c.code FROM pv_returned AS r JOIN pv_codes AS c ON c.id = r.code_id
WHERE r.code_id > ? AND r.code_id <= ? ORDER BY r.code_id LIMIT ?

-- delete_returned --
DELETE FROM pv_returned WHERE code_id = ?

-- take_out_returned --
-- Counts codes as no longer waiting that had come back.
UPDATE pv_stock SET returned = returned - ? WHERE list_id = ?

-- count_returned_withdrawn --
-- Counts codes that had come back as withdrawn.
UPDATE pv_stock SET returned = returned - ?1, withdrawn = withdrawn + ?1 WHERE list_id = ?2

-- codes_between --
-- Codes after an id, up to another.
SELECT id, code FROM pv_codes WHERE id > ? AND id <= ? ORDER BY id LIMIT ?

-- next_dead_range --
-- The first dead range of a list that ends after an id.
SELECT first, last FROM pv_dead_ranges WHERE first > ? AND first <= ? AND last > ? ORDER BY first LIMIT 1

-- refresh_skip --
-- Sets from which id on the cursor of a list must look out for dead ranges.
UPDATE pv_stock SET skip_from = coalesce(
    (SELECT first FROM pv_dead_ranges
     WHERE first > ?1 << 32 AND first < (?1 + 1) << 32 AND last > cursor ORDER BY first LIMIT 1),
    9223372036854775807)
WHERE list_id = ?1

-- range_of_upload --
-- Which ids the codes of a completed upload can have, and where the cursor of its list is.
SELECT u.list_id, u.first_code, u.last_code, s.cursor
FROM pv_uploads AS u JOIN pv_stock AS s ON s.list_id = u.list_id
WHERE u.id = ? AND u.status = 'Completed'

-- codes_kept --
-- Part: how many codes of a completed upload there are, unless some were taken: retired ones are deleted.
u.accepted - (SELECT count(*) FROM pv_retired WHERE code_id BETWEEN u.first_code AND u.last_code)

-- codes_left_of_upload --
-- How many codes of an upload the cursor of its list has not reached, without looking at them: all of an upload that
-- lies behind it, or else what is available without the uploads that lie behind it, and without codes that came back.
SELECT CASE WHEN u.first_code > s.cursor THEN {codes_kept} ELSE
    s.uploaded - s.distributed - s.reserved - s.withdrawn - s.retired - s.returned - (
        SELECT coalesce(sum({codes_kept}), 0) FROM pv_uploads AS u
        WHERE u.list_id = s.list_id AND u.status = 'Completed' AND NOT u.is_withdrawn AND u.first_code > s.cursor) END
FROM pv_uploads AS u JOIN pv_stock AS s ON s.list_id = u.list_id WHERE u.id = ?

-- add_dead_range --
INSERT INTO pv_dead_ranges (first, last) VALUES (?, ?)

-- holder_of_code --
-- The list that holds a code in a scope. An entry in a dead range holds nothing, unless its code was used without having
-- been given out.
SELECT l.id, l.state
FROM pv_active_codes AS a JOIN pv_lists AS l ON l.id = a.code_id >> 32
WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = ? AND l.removed = 0
  AND (EXISTS (SELECT 1 FROM pv_retired WHERE code_id = a.code_id)
       OR NOT EXISTS (
           SELECT 1 FROM (SELECT last FROM pv_dead_ranges WHERE first <= a.code_id ORDER BY first DESC LIMIT 1)
           WHERE last >= a.code_id))

-- assignments_of_code --
-- The assignments of a code in all lists. An entry in the index of codes may have been taken over by a later upload.
SELECT {assignment_columns}
FROM (
    SELECT c.code_id FROM pv_scopes AS s CROSS JOIN pv_active_codes AS c WHERE c.scope_id = s.id AND c.code = ?1
    UNION SELECT code_id FROM pv_superseded_codes WHERE code = ?1
) AS h CROSS JOIN pv_assignments AS a {assignment_tables}
WHERE a.code_id = h.code_id ORDER BY a.code_id
