-- Codes that were taken back from users, in PostgreSQL.

-- lock_assignment --
-- Keeps an assignment from being revoked, redeemed or sent.
SELECT user_id, origin FROM pv_assignments WHERE code_id = ? FOR UPDATE

-- origin_of_assignment --
SELECT user_id, origin FROM pv_assignments WHERE code_id = ?

-- event_of_assignment --
-- The position of the voucher event of an assignment, if it has one.
SELECT position FROM pv_events WHERE code_id = ? AND name IS NULL

-- event_without_position --
SELECT 0 FROM pv_outbox WHERE code_id = ? AND name IS NULL LIMIT 1

-- next_restocked_id --
-- The next id of a restocked code of a list. These ids follow all that uploads can have.
SELECT (CAST(? AS bigint) << 32) + (1::bigint << 31) + nextval('pv_restocked_ids')

-- add_restocked --
INSERT INTO pv_returned (code_id, code) VALUES (?, ?)

-- count_restocked --
INSERT INTO pv_distributed AS d (list_id, connection, codes, reserved) VALUES (?, pg_backend_pid(), -1, 0)
{adds_to_counters}

-- count_revoked --
UPDATE pv_stock SET retired = retired + 1 WHERE list_id = ?

-- delete_restocked_of_upload --
-- Withdraws codes of a list between two ids that came back as new entries, of codes of an upload.
DELETE FROM pv_returned AS r USING pv_revocations AS v
WHERE v.restocked_as = r.code_id AND r.code_id > ? AND r.code_id <= ? AND v.source BETWEEN ? AND ?

-- lock_sent --
-- Keeps the assignments of many events from being revoked, those aside that another transaction may be revoking.
SELECT e.position FROM json_each(?) AS p CROSS JOIN pv_events AS e JOIN pv_assignments AS a ON a.code_id = e.code_id
WHERE e.position = CAST(p.value AS bigint) AND e.name IS NULL FOR KEY SHARE OF a SKIP LOCKED

-- voucher_events --
SELECT e.position FROM json_each(?) AS p CROSS JOIN pv_events AS e
WHERE e.position = CAST(p.value AS bigint) AND e.name IS NULL
