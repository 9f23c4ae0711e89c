-- Redemptions, and the reports of partners' files.

-- scopes_of_list --
SELECT scope_id FROM pv_lists WHERE id = ? AND removed = 0

-- scopes_of_partner --
SELECT DISTINCT scope_id FROM pv_lists WHERE partner = ? AND removed = 0

-- places_in_all_scopes --
-- The ids of codes, in whichever scopes have them.
SELECT value, code_id
FROM (
    SELECT i.value, (SELECT c.code_id FROM pv_active_codes AS c WHERE c.scope_id = s.id AND c.code = i.value) AS code_id
    FROM pv_scopes AS s CROSS JOIN json_each(?) AS i
) AS found
WHERE code_id IS NOT NULL

-- lists_of_partner --
SELECT id FROM pv_lists WHERE partner = ? AND removed = 0

-- superseded_places --
-- The ids of codes whose place in a scope was taken over, if any was.
SELECT i.value, c.code_id
FROM (SELECT 1 FROM pv_superseded_codes LIMIT 1) AS x CROSS JOIN json_each(?) AS i CROSS JOIN pv_superseded_codes AS c
WHERE c.code = i.value

-- held_codes_from --
-- Part: codes with their first redemptions, and the assignments of those that have none and were not revoked.
json_each(?) AS i
LEFT JOIN pv_redemptions AS r ON r.code_id = CAST(i.value AS bigint) AND r.number = 1
LEFT JOIN pv_assignments AS a ON a.code_id = CAST(i.value AS bigint) AND r.code_id IS NULL AND NOT {is_revoked}

-- unused_in_range --
-- How many codes of a range users have; fewer where one of them was revoked or redeemed.
SELECT (SELECT count(*) FROM pv_assignments WHERE code_id BETWEEN ? AND ?)
  - (SELECT count(*) FROM (SELECT 1 FROM pv_revocations WHERE code_id BETWEEN ? AND ? LIMIT 1) AS v)
  - (SELECT count(*) FROM (SELECT 1 FROM pv_redemptions WHERE code_id BETWEEN ? AND ? LIMIT 1) AS r)

-- owners_of_codes --
-- Who was given codes, and whether they were revoked.
SELECT a.code_id, a.user_id, a.origin, {is_revoked}
FROM json_each(?) AS i CROSS JOIN pv_assignments AS a WHERE a.code_id = CAST(i.value AS bigint)

-- lists_of_entries --
SELECT l.id, l.partner, l.expires_at, l.state
FROM json_each(?) AS i CROSS JOIN pv_lists AS l WHERE l.id = CAST(i.value AS bigint) AND l.removed = 0

-- redemptions_of_codes --
SELECT r.code_id, r.number, r.order_id, r.redeemed_at, r.recorded_at, r.amount, r.late, r.reverted_at
FROM json_each(?) AS i CROSS JOIN pv_redemptions AS r
WHERE r.code_id = CAST(i.value AS bigint) ORDER BY r.code_id, r.number

-- set_order --
UPDATE pv_redemptions SET order_id = ? WHERE code_id = ? AND number = ?

-- set_reverted --
UPDATE pv_redemptions SET reverted_at = ? WHERE code_id = ? AND number = ?

-- delete_retired_codes --
-- Those that came back stay where they are known to their reservations, and are not taken from there.
DELETE FROM pv_codes WHERE id IN (SELECT CAST(i.value AS bigint) FROM json_each(?) AS i)
  AND NOT EXISTS (SELECT 1 FROM pv_returned AS b WHERE b.code_id = pv_codes.id)

-- delete_retired_returned --
DELETE FROM pv_returned WHERE code_id IN (SELECT CAST(i.value AS bigint) FROM json_each(?) AS i)

-- add_retired_codes --
INSERT INTO pv_retired (code_id) SELECT CAST(i.value AS bigint) FROM json_each(?) AS i

-- is_redeemed --
-- Part: whether the code of an assignment was used.
EXISTS (SELECT 1 FROM pv_redemptions AS used WHERE used.code_id = a.code_id AND used.reverted_at IS NULL)

-- unredeemed_of_list --
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables}
WHERE a.code_id > ? AND a.code_id <= ? AND a.assigned_at <= ? AND NOT {is_redeemed} AND NOT {is_revoked}
ORDER BY a.code_id LIMIT ?

-- unredeemed_of_campaign --
-- It reads all assignments once, since no index leads from a campaign to them: each assignment would pay for it.
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables}
WHERE a.code_id > ? AND a.origin = ? AND a.assigned_at <= ? AND NOT {is_redeemed} AND NOT {is_revoked}
ORDER BY a.code_id LIMIT ?

-- report_columns --
-- Part: a report.
id, partner, list_id, uploaded_by, filename, sha256, started_at, finished_at, last_line, counts

-- add_report --
INSERT INTO pv_reports ({report_columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- save_report --
UPDATE pv_reports SET finished_at = ?, last_line = ?, counts = ? WHERE id = ?

-- report_by_id --
SELECT {report_columns} FROM pv_reports WHERE id = ?

-- unfinished_reports --
SELECT {report_columns} FROM pv_reports WHERE sha256 = ? AND finished_at IS NULL ORDER BY id DESC

-- add_report_rows --
INSERT INTO pv_report_blocks (id, last_line, kind, cells) VALUES (?, ?, ?, ?)

-- report_rows --
SELECT r.id, r.kind, r.cells FROM pv_report_blocks AS r
WHERE r.id > ? AND r.id < ? AND r.last_line > ? AND r.kind IN (SELECT k.value FROM json_each(?) AS k)
ORDER BY r.id LIMIT ?
