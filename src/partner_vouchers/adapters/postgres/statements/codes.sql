-- The codes in PostgreSQL: a queue for each list, of which each transaction takes what no other is taking.

-- take_codes --
-- Takes codes of a list after an id, and counts them in the part of the counter of this connection. Codes that others
-- are taking are passed over. Returns the state of the list before the statement, with each code taken, or with none.
WITH stock AS (
    SELECT s.list_id, s.published, greatest(s.emptied, ?) AS emptied,
           s.uploaded, d.codes, s.reserved, s.withdrawn, s.retired, a.level, l.low_stock_at, l.used_before, d.parts
    FROM pv_stock AS s
    JOIN pv_lists AS l ON l.id = s.list_id
    JOIN pv_announced AS a ON a.list_id = s.list_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(codes), 0)::bigint AS codes, count(*) AS parts
        FROM pv_distributed WHERE list_id = s.list_id
    ) AS d
    WHERE s.list_id = ?
), taken AS (
    DELETE FROM pv_codes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM pv_codes
        WHERE id > greatest((SELECT emptied FROM stock), ?) AND id <= (SELECT published FROM stock)
        ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED))
    RETURNING id, code
), counted AS (
    INSERT INTO pv_distributed AS d (list_id, connection, codes)
    SELECT list_id, pg_backend_pid(), (SELECT count(*) FROM taken) FROM stock WHERE EXISTS (SELECT 1 FROM taken)
    ON CONFLICT (list_id, connection) DO UPDATE SET codes = d.codes + excluded.codes
)
SELECT taken.id, taken.code, stock.published, stock.emptied, stock.uploaded, stock.codes, stock.reserved,
       stock.withdrawn, stock.retired, stock.level, stock.low_stock_at, stock.used_before, stock.parts
FROM stock LEFT JOIN taken ON true ORDER BY taken.id

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
    RETURNING codes
)
INSERT INTO pv_distributed AS d (list_id, connection, codes)
SELECT CAST(? AS bigint), pg_backend_pid(), coalesce(sum(codes), 0) FROM parts
ON CONFLICT (list_id, connection) DO UPDATE SET codes = d.codes + excluded.codes

-- range_of_upload --
SELECT list_id, first_code, last_code FROM pv_uploads WHERE id = ? AND status = 'Completed'

-- delete_codes_between --
-- Withdraws codes. One that another transaction is taking is waited for.
DELETE FROM pv_codes WHERE id BETWEEN ? AND ?

-- count_withdrawn --
-- Counts codes of a list as withdrawn.
UPDATE pv_stock SET withdrawn = withdrawn + ? WHERE list_id = ?

-- holder_of_code --
-- The list that holds a code in a scope. An entry whose code is neither given out nor available holds nothing.
SELECT l.id, l.state
FROM pv_active_codes AS a JOIN pv_lists AS l ON l.id = a.code_id >> 32
JOIN pv_stock AS s ON s.list_id = l.id
WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = ? AND l.removed = 0
  AND (EXISTS (SELECT 1 FROM pv_assignments WHERE code_id = a.code_id)
       OR EXISTS (SELECT 1 FROM pv_codes WHERE id = a.code_id AND id <= s.published))

-- remaining_codes --
-- A page of the available codes of a list, in the order in which they are taken.
SELECT id, code FROM pv_codes
WHERE id > ? AND id <= (SELECT published FROM pv_stock WHERE list_id = ?) ORDER BY id LIMIT ?
