-- Codes that were taken back from users, in SQLite.

-- event_of_assignment --
-- The position of the voucher event of an assignment, if it was not removed.
SELECT e.position FROM pv_assignments AS a JOIN pv_events AS e ON e.position = a.event WHERE a.code_id = ?

-- next_restocked_id --
-- The next id of a restocked code of a list. These ids follow all that uploads can have.
SELECT coalesce(max(id), (?1 << 32) + (1 << 31)) + 1 FROM pv_codes
WHERE id > (?1 << 32) + (1 << 31) AND id < (?1 + 1) << 32

-- add_restocked_code --
INSERT INTO pv_codes (id, code) VALUES (?, ?)

-- add_restocked --
INSERT INTO pv_returned (code_id) VALUES (?)

-- count_restocked --
UPDATE pv_stock SET distributed = distributed - 1, returned = returned + 1 WHERE list_id = ?

-- count_revoked --
UPDATE pv_stock SET distributed = distributed - 1, retired = retired + 1 WHERE list_id = ?

-- restocked_of_upload --
-- Codes of a list between two ids that came back as new entries, of codes of an upload.
SELECT r.code_id FROM pv_returned AS r JOIN pv_revocations AS v ON v.restocked_as = r.code_id
WHERE r.code_id > ? AND r.code_id <= ? AND v.source BETWEEN ? AND ? ORDER BY r.code_id
