-- Events in the order in which sinks are sent them, and how far each sink has come.

-- event_columns --
-- Part: an event; `number` and `nonce` make its id. The event of an assignment has no name and is told by the assignment.
e.position, e.number, e.nonce, e.code_id, e.name, e.payload,
{code_of_assignment}, a.user_id, a.origin, a.assigned_at, a.list_version

-- event_tables --
-- Part: the assignment of an event, if it has one.
LEFT JOIN pv_assignments AS a ON a.code_id = e.code_id
LEFT JOIN pv_codes AS c ON c.id = a.code_id

-- events_after --
SELECT {event_columns} FROM pv_events AS e {event_tables} WHERE e.position > ? ORDER BY e.position LIMIT ?

-- events_at --
SELECT {event_columns} FROM json_each(?) AS p CROSS JOIN pv_events AS e {event_tables}
WHERE e.position = CAST(p.value AS bigint) ORDER BY p.key

-- count_events --
-- How many events there are after a position, up to another one, and up to a limit.
SELECT count(*) FROM (SELECT 1 FROM pv_events WHERE position > ? AND position <= ? LIMIT ?) AS found

-- last_event --
SELECT coalesce(max(position), 0) FROM pv_events

-- remove_events --
-- Removes events up to a position. The newest stays, or its position would be used again.
DELETE FROM pv_events AS e
WHERE e.position <= ? AND e.position < (SELECT max(position) FROM pv_events)
  AND NOT EXISTS (SELECT 1 FROM pv_deferred AS d WHERE d.position = e.position)

-- sinks --
SELECT name FROM pv_sinks ORDER BY name

-- sink --
SELECT position, ahead, sent, failures, paused_until, suspect, cancelled FROM pv_sinks WHERE name = ?

-- save_sink --
INSERT INTO pv_sinks (name, position, ahead, sent, failures, paused_until, suspect, cancelled)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET position = excluded.position, ahead = excluded.ahead, sent = excluded.sent, failures = excluded.failures,
    paused_until = excluded.paused_until, suspect = excluded.suspect, cancelled = excluded.cancelled

-- forget_sink --
DELETE FROM pv_sinks WHERE name = ?

-- forget_deferred --
DELETE FROM pv_deferred WHERE sink = ? AND state <> 'dead'

-- forget_dead --
DELETE FROM pv_deferred WHERE sink = ? AND state = 'dead'

-- deferred_columns --
-- Part: an event that a sink has not taken.
d.position, d.event_id, d.key, d.state, d.attempts, d.failures, d.retry_at, d.reason

-- put_deferred --
INSERT INTO pv_deferred (sink, position, event_id, key, state, attempts, failures, retry_at, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (position, sink) DO UPDATE
SET key = excluded.key, state = excluded.state, attempts = excluded.attempts, failures = excluded.failures,
    retry_at = excluded.retry_at, reason = excluded.reason

-- remove_deferred --
DELETE FROM pv_deferred WHERE sink = ? AND position = ?

-- deferred_at --
SELECT {deferred_columns} FROM json_each(?) AS p CROSS JOIN pv_deferred AS d
WHERE d.position = CAST(p.value AS bigint) AND d.sink = ? ORDER BY d.position

-- due --
-- Events to be sent now. One that is not the first of its key must wait: a dead letter that is sent again may have
-- come before it.
SELECT {deferred_columns} FROM pv_deferred AS d
WHERE d.sink = ? AND d.retry_at <= ? AND d.position = (
    SELECT min(e.position) FROM pv_deferred AS e WHERE e.sink = d.sink AND e.key = d.key AND e.state <> 'dead')
ORDER BY d.retry_at, d.position LIMIT ?

-- first_of_keys --
-- The first event of each key; none for a key without a deferred event.
SELECT k.value, (
    SELECT min(d.position) FROM pv_deferred AS d WHERE d.sink = CAST(? AS text) AND d.key = k.value AND d.state <> 'dead')
FROM json_each(?) AS k

-- has_deferred --
-- The order makes the database use the index, and not look through what belongs to other sinks.
SELECT 1 FROM pv_deferred AS d WHERE d.sink = ? AND d.state <> 'dead' ORDER BY d.key LIMIT 1

-- promote --
UPDATE pv_deferred SET retry_at = ? WHERE position = ? AND sink = ? AND retry_at IS NULL

-- count_deferred --
SELECT count(*), min(d.position) FROM pv_deferred AS d WHERE d.sink = ? AND d.state <> 'dead'

-- dead_letters_after --
SELECT {deferred_columns} FROM pv_deferred AS d
WHERE d.sink = ? AND d.state = 'dead' AND d.position > ? ORDER BY d.position LIMIT ?

-- dead_letters_with_ids --
SELECT {deferred_columns} FROM json_each(?) AS i CROSS JOIN pv_deferred AS d
WHERE d.sink = ? AND d.state = 'dead' AND d.event_id = i.value ORDER BY d.position

-- count_dead --
SELECT count(*) FROM pv_deferred AS d WHERE d.sink = ? AND d.state = 'dead'
