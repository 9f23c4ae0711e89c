-- The audit log and the settings.

-- add_audit_entry --
INSERT INTO pv_audit (list_id, actor, name, payload) VALUES (?, ?, ?, ?)

-- audit_rows --
-- Part: the repository adds conditions and the order.
SELECT id, actor, name, payload FROM pv_audit WHERE

-- setting --
SELECT value FROM pv_settings WHERE name = ?

-- put_setting --
INSERT INTO pv_settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
