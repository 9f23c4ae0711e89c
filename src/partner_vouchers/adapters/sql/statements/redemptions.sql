-- Redemptions, and the reports of partners' files.

-- scopes_of_list --
SELECT scope_id FROM pv_lists WHERE id = ? AND removed = 0

-- scopes_of_partner --
SELECT DISTINCT scope_id FROM pv_lists WHERE partner = ? AND removed = 0

-- all_scopes --
SELECT id FROM pv_scopes

-- places_of_codes --
-- The ids under which scopes have codes, and those of codes whose place in a scope was taken over.
SELECT i.value, c.code_id
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i CROSS JOIN pv_active_codes AS c
WHERE c.scope_id = CAST(s.value AS bigint) AND c.code = i.value
UNION ALL
SELECT i.value, c.code_id FROM json_each(?) AS i CROSS JOIN pv_superseded_codes AS c WHERE c.code = i.value

-- unused_codes --
-- Codes of scopes that users have, with whether they were redeemed. A code that other entries have had is left out.
SELECT i.value, c.code_id, EXISTS (SELECT 1 FROM pv_redemptions AS r WHERE r.code_id = c.code_id)
FROM json_each(?) AS s CROSS JOIN json_each(?) AS i CROSS JOIN pv_active_codes AS c CROSS JOIN pv_assignments AS a
WHERE c.scope_id = CAST(s.value AS bigint) AND c.code = i.value AND a.code_id = c.code_id AND NOT {is_revoked}
  AND NOT EXISTS (SELECT 1 FROM pv_superseded_codes AS u WHERE u.code = i.value)

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

-- report_rows --
SELECT id, kind, cells, code_id, fault FROM pv_report_rows
WHERE id > ? AND id < ? AND kind IN (SELECT k.value FROM json_each(?) AS k) ORDER BY id LIMIT ?
