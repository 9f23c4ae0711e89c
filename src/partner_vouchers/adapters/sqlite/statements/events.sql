-- Events in SQLite: rows are numbered in the order of commits, since one transaction writes at a time.

-- event_columns --
-- Part: an event, whose number is its position.
e.position, e.position, e.nonce, e.code_id, e.name, e.payload,
{code_of_assignment}, a.user_id, a.origin, a.assigned_at, a.list_version

-- add_event --
INSERT INTO pv_events (name, payload, nonce) VALUES (?, ?, random())
