-- Reservations and limits in PostgreSQL.

-- code_of_reservation --
-- Part: the code of a reservation.
r.code

-- reservation_tables --
-- Part: nothing more is needed.

-- lock_rows --
-- Part: locks the rows of a query; others are waited for.
FOR UPDATE OF r

-- lock_free_rows --
-- Part: locks the rows of a query that no other transaction has locked, and leaves out the others.
FOR UPDATE OF r SKIP LOCKED

-- add_reservation --
INSERT INTO pv_reservations (id, code_id, code, list_id, user_id, origin, reserved_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- reservation_fields --
-- Part: what is kept of a reservation when it ends, besides how it ended.
id, code_id, code, list_id, user_id, origin, reserved_at, expires_at

-- confirm_reservation --
UPDATE pv_reservations SET state = 'Confirmed', ended_at = ? WHERE code_id = ? AND state = 'Open'

-- adds_to_counters --
-- Part: adds to the counters of a list that this connection keeps.
ON CONFLICT (list_id, connection) DO UPDATE
SET codes = d.codes + excluded.codes, reserved = d.reserved + excluded.reserved

-- count_confirmed --
INSERT INTO pv_distributed AS d (list_id, connection, codes, reserved) VALUES (?, pg_backend_pid(), 1, -1)
{adds_to_counters}

-- count_given --
-- Counts a code as given on a day.
INSERT INTO pv_given AS g (list_id, day, connection, codes) VALUES (?, ?, pg_backend_pid(), 1)
ON CONFLICT (list_id, day, connection) DO UPDATE SET codes = g.codes + 1

-- count_returned --
INSERT INTO pv_distributed AS d (list_id, connection, codes, reserved)
VALUES (?, pg_backend_pid(), 0, -CAST(? AS integer)) {adds_to_counters}

-- count_returned_as_withdrawn --
WITH returned (list_id, codes) AS (VALUES (CAST(? AS bigint), CAST(? AS integer))),
withdrawn AS (
    UPDATE pv_stock AS s SET withdrawn = s.withdrawn + r.codes FROM returned AS r WHERE s.list_id = r.list_id
)
INSERT INTO pv_distributed AS d (list_id, connection, codes, reserved)
SELECT list_id, pg_backend_pid(), 0, -codes FROM returned {adds_to_counters}

-- add_returned --
INSERT INTO pv_returned (code_id, code) VALUES (?, ?)

-- limit_count --
-- The codes that count in a window, and how many connections may be counting at the same time.
SELECT coalesce(sum(codes), 0)::bigint, current_setting('max_connections')::integer
FROM pv_limit_counts WHERE campaign_id = ? AND span = ?

-- adds_to_limit_count --
-- Part: adds to the count of a window that this connection keeps.
ON CONFLICT (campaign_id, span, part) DO UPDATE SET codes = c.codes + excluded.codes

-- raise_limit_count --
INSERT INTO pv_limit_counts AS c (campaign_id, span, part, codes) VALUES (?, ?, mod(pg_backend_pid(), 64), ?)
{adds_to_limit_count}

-- lower_limit_count --
-- Adds a negative number to a window in which codes were counted.
INSERT INTO pv_limit_counts AS c (campaign_id, span, part, codes)
SELECT n.campaign_id, n.span, mod(pg_backend_pid(), 64), n.codes
FROM (VALUES (CAST(? AS text), CAST(? AS text), CAST(? AS integer))) AS n (campaign_id, span, codes)
WHERE EXISTS (SELECT 1 FROM pv_limit_counts AS k WHERE k.campaign_id = n.campaign_id AND k.span = n.span)
{adds_to_limit_count}
