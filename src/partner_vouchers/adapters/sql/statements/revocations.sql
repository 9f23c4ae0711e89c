-- Codes that were taken back from users.

-- lock_assignment --
-- Keeps an assignment from being revoked, redeemed or sent, where the database has several writers.
SELECT user_id, origin FROM pv_assignments WHERE code_id = ?

-- revocation_of_code --
SELECT revoked_at, actor, reason, restocked_as FROM pv_revocations WHERE code_id = ?

-- revocations_of_codes --
SELECT v.code_id, v.revoked_at, v.actor, v.reason, v.restocked_as
FROM json_each(?) AS i CROSS JOIN pv_revocations AS v WHERE v.code_id = CAST(i.value AS bigint)

-- add_revocation --
-- `source`: the code as it was uploaded, also if it was restocked before.
INSERT INTO pv_revocations (code_id, revoked_at, actor, reason, restocked_as, source)
SELECT n.code_id, n.revoked_at, n.actor, n.reason, n.restocked_as,
       coalesce((SELECT v.source FROM pv_revocations AS v WHERE v.restocked_as = n.code_id), n.code_id)
FROM (SELECT CAST(? AS bigint) AS code_id, CAST(? AS bigint) AS revoked_at, CAST(? AS text) AS actor,
             CAST(? AS text) AS reason, CAST(? AS bigint) AS restocked_as) AS n

-- supersede_entry --
-- Keeps that a code was given out, whose place in the duplicate rule its new entry takes.
INSERT INTO pv_superseded_codes (code, code_id) VALUES (?, ?) ON CONFLICT DO NOTHING

-- move_entry --
UPDATE pv_active_codes SET code_id = ?
WHERE scope_id = (SELECT scope_id FROM pv_lists WHERE id = ?) AND code = ? AND code_id = ?

-- source_upload_is_withdrawn --
SELECT 1 FROM pv_uploads
WHERE list_id = ? AND is_withdrawn AND coalesce(
    (SELECT v.source FROM pv_revocations AS v WHERE v.restocked_as = ?), ?) BETWEEN first_code AND last_code

-- revoked_events --
-- Those of many events that tell of an assignment that was revoked.
SELECT e.position FROM json_each(?) AS p CROSS JOIN pv_events AS e
WHERE e.position = CAST(p.value AS bigint) AND e.name IS NULL
  AND EXISTS (SELECT 1 FROM pv_revocations AS v WHERE v.code_id = e.code_id)

-- counted_at --
-- The instant at which an assignment counts in limits.
SELECT coalesce(r.reserved_at, a.assigned_at) FROM pv_assignments AS a
LEFT JOIN pv_reservations AS r ON r.code_id = a.code_id
WHERE a.code_id = ?
