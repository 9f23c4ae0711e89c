-- Where ids of users are in PostgreSQL.

-- unordered_with_text --
SELECT id, name, payload FROM pv_outbox WHERE code_id IS NULL AND instr(payload, ?) > 0 ORDER BY id

-- replace_unordered_payload --
UPDATE pv_outbox SET payload = ? WHERE id = ?
