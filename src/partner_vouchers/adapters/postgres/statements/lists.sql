-- What differs in PostgreSQL.

-- next_list_id --
SELECT nextval('pv_list_ids')

-- next_upload_id --
SELECT nextval('pv_upload_ids')

-- distributed --
-- Part: the counter of distributed codes is kept in parts.
(SELECT coalesce(sum(codes), 0)::bigint FROM pv_distributed WHERE list_id = l.id)

-- reserved --
-- Part: the counter of reserved codes is kept in parts, too.
(SELECT coalesce(sum(reserved), 0)::bigint FROM pv_distributed WHERE list_id = l.id)

-- counters --
-- Part: the counters of a list, in the order of `Counts`, then the stock level notified last.
s.uploaded, {distributed}, {reserved}, s.withdrawn, s.retired,
(SELECT level FROM pv_announced WHERE list_id = l.id)

-- counters_of_today --
-- Part: they are kept in parts.
pv_distributed

-- add_stock --
-- Adds the counters of a list, of which no code has a greater id than the one given.
WITH new (list_id, start) AS (VALUES (CAST(? AS bigint), CAST(? AS bigint))),
stock AS (INSERT INTO pv_stock (list_id, published, emptied) SELECT list_id, start, start FROM new),
level AS (INSERT INTO pv_announced (list_id, level) SELECT list_id, 0 FROM new)
INSERT INTO pv_positions (list_id) SELECT list_id FROM new

-- set_notified_level --
-- Where another transaction sets it now, that may be a host's, which is not waited for: the next request repairs it.
UPDATE pv_announced SET level = ?
WHERE list_id = (SELECT list_id FROM pv_announced WHERE list_id = ? FOR UPDATE SKIP LOCKED)

-- catalog_versions --
-- What changes with every list, link and limit of a campaign: the versions of their rows.
SELECT k.list_id, concat(k.ctid, k.xmin, l.ctid, l.xmin, (
    SELECT string_agg(concat(m.ctid, m.xmin), ' ' ORDER BY m.place) FROM pv_limits AS m WHERE m.campaign_id = k.campaign_id))
FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id
WHERE k.campaign_id = ? AND l.removed = 0
ORDER BY k.priority, k.id

-- code_of_assignment --
-- Part: the code of an assignment.
a.code

-- assignment_tables --
-- Part: the list of an assignment, and what it said when the code was given out. Each is found by its key: without
-- OFFSET the server may read all lists for one assignment, as long as it has no statistics.
CROSS JOIN LATERAL (SELECT id, partner, tag FROM pv_lists WHERE id = a.code_id >> 32 OFFSET 0) AS l
CROSS JOIN LATERAL (
    SELECT name, description, expires_at FROM pv_terms
    WHERE list_id = a.code_id >> 32 AND version = a.list_version OFFSET 0
) AS t

-- assignments_of_code --
-- The assignments of a code in all lists.
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables}
WHERE a.code COLLATE "C" = ? ORDER BY a.code_id

-- add_assignment --
-- The row of the outbox refers to the assignment, which says all that its event says.
WITH added AS (
    INSERT INTO pv_assignments (code_id, code, user_id, origin, ordinal, assigned_at, list_version)
    VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING code_id
)
INSERT INTO pv_outbox (code_id) SELECT code_id FROM added

-- add_assignments --
-- What `add_assignment` does, for columns of rows.
WITH given AS (
    SELECT * FROM unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::integer[], ?::bigint[],
                         ?::integer[])
        WITH ORDINALITY AS g (code_id, code, user_id, origin, ordinal, assigned_at, list_version, place)
), added AS (
    INSERT INTO pv_assignments (code_id, code, user_id, origin, ordinal, assigned_at, list_version)
    SELECT code_id, code, user_id, origin, ordinal, assigned_at, list_version FROM given
)
INSERT INTO pv_outbox (code_id) SELECT code_id FROM given ORDER BY place

-- add_piece --
INSERT INTO pv_upload_pieces (upload_id, index, data) VALUES (?, ?, ?)

-- piece --
SELECT data FROM pv_upload_pieces WHERE upload_id = ? AND index = ? AND {of_upload}

-- faults --
SELECT line, raw, kind, message FROM pv_upload_faults
WHERE upload_id = ? AND line > ? AND {of_upload} ORDER BY line LIMIT ?
