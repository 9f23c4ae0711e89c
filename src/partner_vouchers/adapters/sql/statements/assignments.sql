-- Assignments and idempotency keys. An assignment has the id of its code.

-- code_of_assignment --
-- Part: the code of an assignment.
c.code

-- assignment_tables --
-- Part: the list of an assignment, and what it said when the code was given out.
JOIN pv_codes AS c ON c.id = a.code_id
JOIN pv_lists AS l ON l.id = a.code_id >> 32
JOIN pv_terms AS t ON t.list_id = l.id AND t.version = a.list_version

-- assignment_columns --
-- Part: an assignment.
a.code_id, {code_of_assignment}, a.user_id, a.origin, a.ordinal, a.assigned_at,
l.id, a.list_version, l.partner, l.tag, t.name, t.description, t.expires_at,
(SELECT used.redeemed_at FROM pv_redemptions AS used WHERE used.code_id = a.code_id AND used.reverted_at IS NULL),
(SELECT v.revoked_at FROM pv_revocations AS v WHERE v.code_id = a.code_id)

-- holding_of_user --
-- With 0 the code that a user was given last in a campaign or, without one, from a list, and with 1 that of each open
-- reservation of the user there. Nearly always there is none, so nothing is joined.
SELECT code_id, 0 FROM (
    SELECT code_id FROM pv_assignments WHERE user_id = ? AND origin = ? ORDER BY ordinal DESC LIMIT 1) AS a
UNION ALL SELECT r.code_id, 1 FROM pv_reservations AS r WHERE r.user_id = ? AND r.origin = ? AND {is_open}

-- latest_of_users --
-- The assignment of each of many users that was made last.
SELECT {assignment_columns}
FROM json_each(?) AS u CROSS JOIN pv_assignments AS a {assignment_tables}
WHERE a.user_id = u.value AND a.origin = ? AND a.ordinal = (
    SELECT max(ordinal) FROM pv_assignments WHERE user_id = u.value AND origin = a.origin)

-- held_by_users --
-- The code of each of many users that was given last and is not revoked, in a campaign or, without one, from a list.
SELECT {assignment_columns}
FROM json_each(?) AS u CROSS JOIN pv_assignments AS a {assignment_tables}
WHERE a.user_id = u.value AND a.origin = ? AND a.ordinal = (
    SELECT max(h.ordinal) FROM pv_assignments AS h WHERE h.user_id = u.value AND h.origin = a.origin
    AND NOT EXISTS (SELECT 1 FROM pv_revocations AS v WHERE v.code_id = h.code_id))

-- assignment_by_id --
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables} WHERE a.code_id = ?

-- assignments_by_ids --
SELECT {assignment_columns}
FROM json_each(?) AS i CROSS JOIN pv_assignments AS a {assignment_tables}
WHERE a.code_id = CAST(i.value AS bigint) ORDER BY i.key

-- assignments_of_user --
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables}
WHERE a.user_id = ? ORDER BY a.assigned_at, a.ordinal, a.code_id

-- assignments_of_list --
-- A page of the assignments of a list: its codes have the ids between two bounds.
SELECT {assignment_columns} FROM pv_assignments AS a {assignment_tables}
WHERE a.code_id > ? AND a.code_id <= ? ORDER BY a.code_id LIMIT ?

-- key --
SELECT fingerprint, code_ids FROM pv_idempotency_keys WHERE key = ?

-- add_key --
INSERT INTO pv_idempotency_keys (key, fingerprint, code_ids) VALUES (?, ?, ?)
