-- What differs in SQLite.

-- next_list_id --
UPDATE pv_sequences SET last = last + 1 WHERE name = 'list' RETURNING last

-- next_upload_id --
UPDATE pv_sequences SET last = last + 1 WHERE name = 'upload' RETURNING last

-- add_stock --
-- Adds the counters of a list, of which no code has a greater id than the one given.
INSERT INTO pv_stock (list_id, cursor, published, skip_from) VALUES (?1, ?2, ?2, 9223372036854775807)

-- catalog_versions --
-- What changes with every list and link: a token that triggers renew.
SELECT value FROM pv_settings WHERE name = 'catalog token' AND ?1 <> ''

-- add_assignment --
-- It comes right after its event.
INSERT INTO pv_assignments (code_id, user_id, origin, ordinal, assigned_at, list_version, event)
VALUES (?, ?, ?, ?, ?, ?, last_insert_rowid())

-- add_assignments --
INSERT INTO pv_assignments (code_id, user_id, origin, ordinal, assigned_at, list_version, event)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- last_position --
--- That of the event that was just inserted.
SELECT last_insert_rowid()

-- add_reward_event --
-- The row of the outbox refers to the assignment, which says all that its event says.
INSERT INTO pv_events (code_id, nonce) VALUES (?, random())

-- add_piece --
-- The id of a piece of a file is its upload and, in 20 bits, its index.
INSERT INTO pv_upload_pieces (id, data) VALUES ((? << 20) + ?, ?)

-- piece --
SELECT data FROM pv_upload_pieces WHERE id = (? << 20) + ? AND {of_upload}

-- faults --
-- The id of a refused row is its upload and, in 32 bits, its line.
SELECT id & 4294967295, raw, kind, message FROM pv_upload_faults
WHERE id > (?1 << 32) + ?2 AND id < (?1 + 1) << 32 AND {of_upload} ORDER BY id LIMIT ?
