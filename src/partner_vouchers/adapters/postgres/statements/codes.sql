-- The codes in PostgreSQL: a queue for each list, of which each transaction takes what no other is taking.

-- take_codes --
-- Takes codes of a list after an id, those that came back first, and counts them in the part of the counter of this
-- connection: as distributed, and in its day, or as reserved. When these run out is found by the index. Codes that
-- others are taking are passed over; none is taken where a reservation has run out by an instant.
-- Returns the state of the list before the statement, with each code taken, or with none.
WITH stock AS (
    SELECT s.list_id, s.published, greatest(s.emptied, ?) AS emptied,
           s.uploaded, d.codes, d.reserved, s.withdrawn, s.retired, a.level, l.low_stock_at, l.used_before, d.parts,
           EXISTS (
               SELECT 1 FROM pv_reservations AS r
               WHERE r.list_id = s.list_id AND r.state = 'Open' AND r.expires_at <= ?) AS run_out
    FROM pv_stock AS s
    JOIN pv_lists AS l ON l.id = s.list_id
    JOIN pv_announced AS a ON a.list_id = s.list_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(codes), 0)::bigint AS codes, coalesce(sum(reserved), 0)::bigint AS reserved, count(*) AS parts
        FROM pv_distributed WHERE list_id = s.list_id
    ) AS d
    WHERE s.list_id = ?
), returned AS (
    DELETE FROM pv_returned WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM pv_returned
        WHERE code_id > ? AND code_id <= ? AND NOT (SELECT run_out FROM stock)
        ORDER BY code_id LIMIT ? FOR UPDATE SKIP LOCKED))
    RETURNING code_id AS id, code
), taken AS (
    DELETE FROM pv_codes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM pv_codes
        WHERE id > greatest((SELECT emptied FROM stock), ?) AND id <= (SELECT published FROM stock)
          AND NOT (SELECT run_out FROM stock)
        ORDER BY id LIMIT CAST(? AS bigint) - (SELECT count(*) FROM returned) FOR UPDATE SKIP LOCKED))
    RETURNING id, code
), both_kinds AS (
    SELECT id, code, 0 AS place FROM returned UNION ALL SELECT id, code, 1 FROM taken
), former_day AS (
    SELECT list_id, day, day_codes FROM pv_distributed
    WHERE list_id = (SELECT list_id FROM stock) AND connection = pg_backend_pid() AND day <> ? AND day_codes <> 0
      AND EXISTS (SELECT 1 FROM both_kinds)
    FOR UPDATE
), kept AS (
    INSERT INTO pv_given AS g (list_id, day, connection, codes)
    SELECT list_id, day, pg_backend_pid(), day_codes FROM former_day
    ON CONFLICT (list_id, day, connection) DO UPDATE SET codes = g.codes + excluded.codes
    RETURNING 1
), counted AS (
    INSERT INTO pv_distributed AS d (list_id, connection, day, codes, reserved, day_codes)
    SELECT list_id, pg_backend_pid(), CAST(? AS integer), b.codes - b.reserved, b.reserved, b.codes - b.reserved
    FROM stock
    CROSS JOIN (SELECT count(*) AS codes, count(*) * CAST(? AS integer) AS reserved FROM both_kinds) AS b
    -- The former day is kept before its row is rewritten.
    WHERE b.codes > 0 AND (SELECT count(*) FROM kept) >= 0
    ON CONFLICT (list_id, connection) DO UPDATE
    SET codes = d.codes + excluded.codes, reserved = d.reserved + excluded.reserved, day = excluded.day,
        day_codes = excluded.day_codes + CASE WHEN d.day = excluded.day THEN d.day_codes ELSE 0 END
)
SELECT b.id, b.code, b.place, stock.run_out, stock.published, stock.emptied, stock.uploaded, stock.codes, stock.reserved,
       stock.withdrawn, stock.retired, stock.level, stock.low_stock_at, stock.used_before, stock.parts
FROM stock LEFT JOIN both_kinds AS b ON true ORDER BY b.place, b.id

-- mark_emptied --
-- Notes that no code up to the id that was published last is left, unless one is, or an open transaction may return
-- one, or others use the row. A code that is added later must have a greater id.
UPDATE pv_stock SET emptied = published WHERE list_id = (
    SELECT list_id FROM pv_stock AS s
    WHERE list_id = ? AND published = ?
      AND NOT EXISTS (SELECT 1 FROM pv_codes WHERE id > greatest(s.emptied, ?) AND id <= s.published)
    FOR UPDATE SKIP LOCKED)

-- lock_level --
-- Takes the right to notify a stock level, where no other transaction has it, and returns the level notified last.
SELECT level FROM pv_announced WHERE list_id = ? FOR UPDATE SKIP LOCKED

-- sum_up_parts --
-- Adds up the parts of a counter that no transaction is changing.
WITH parts AS (
    DELETE FROM pv_distributed WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM pv_distributed
        WHERE list_id = ? AND connection <> pg_backend_pid() FOR UPDATE SKIP LOCKED))
    RETURNING codes, reserved, day, day_codes
), kept AS (
    INSERT INTO pv_given AS g (list_id, day, connection, codes)
    SELECT CAST(? AS bigint), day, pg_backend_pid(), sum(day_codes) FROM parts WHERE day_codes <> 0 GROUP BY day
    ON CONFLICT (list_id, day, connection) DO UPDATE SET codes = g.codes + excluded.codes
)
INSERT INTO pv_distributed AS d (list_id, connection, codes, reserved)
SELECT CAST(? AS bigint), pg_backend_pid(), coalesce(sum(codes), 0), coalesce(sum(reserved), 0) FROM parts
{adds_to_counters}

-- range_of_upload --
SELECT list_id, first_code, last_code FROM pv_uploads WHERE id = ? AND status = 'Completed'

-- delete_codes_between --
-- Withdraws codes. One that another transaction is taking is waited for.
DELETE FROM pv_codes WHERE id BETWEEN ? AND ?

-- holder_of_code --
-- The list that holds a code in a scope. An entry whose code is neither given out, reserved, retired nor available holds nothing.
SELECT l.id, l.state
FROM pv_active_codes AS a JOIN pv_lists AS l ON l.id = a.code_id >> 32
JOIN pv_stock AS s ON s.list_id = l.id
WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = ? AND l.removed = 0
  AND (EXISTS (SELECT 1 FROM pv_assignments WHERE code_id = a.code_id)
       OR EXISTS (SELECT 1 FROM pv_reservations WHERE code_id = a.code_id)
       OR EXISTS (SELECT 1 FROM pv_returned WHERE code_id = a.code_id)
       OR EXISTS (SELECT 1 FROM pv_retired WHERE code_id = a.code_id)
       OR EXISTS (SELECT 1 FROM pv_codes WHERE id = a.code_id AND id <= s.published))

-- delete_returned_between --
-- Withdraws codes that came back.
DELETE FROM pv_returned WHERE code_id BETWEEN ? AND ?

-- returned_codes --
-- A page of the codes of a list that came back, between two ids.
SELECT code_id, code FROM pv_returned WHERE code_id > ? AND code_id <= ? ORDER BY code_id LIMIT ?

-- remaining_codes --
-- A page of the other available codes of a list.
SELECT id, code FROM pv_codes
WHERE id > ? AND id <= (SELECT published FROM pv_stock WHERE list_id = ?) ORDER BY id LIMIT ?
