-- Where ids of users are.

-- events_with_text --
-- Events that the host wrote, whose JSON contains a text. It reads all events.
SELECT position, name, payload FROM pv_events WHERE code_id IS NULL AND instr(payload, ?) > 0 ORDER BY position

-- replace_payload --
UPDATE pv_events SET payload = ? WHERE position = ?

-- rename_assignments --
UPDATE pv_assignments SET user_id = ? WHERE user_id = ?

-- lock_reservations_of_user --
SELECT r.code_id FROM pv_reservations AS r WHERE r.user_id = ? ORDER BY r.expires_at, r.id {lock_rows}

-- rename_reservations --
UPDATE pv_reservations SET user_id = ? WHERE user_id = ?

-- rename_ended_reservations --
UPDATE pv_ended_reservations SET user_id = ? WHERE user_id = ?

-- rename_deferred --
UPDATE pv_deferred SET key = ?, reason = replace(reason, CAST(? AS text), CAST(? AS text)) WHERE key = ?
