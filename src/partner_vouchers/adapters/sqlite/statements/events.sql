-- Events in SQLite: rows are numbered in the order of commits, since one transaction writes at a time.
-- `INDEXED BY`: with the statistics of another day, SQLite would choose the index by time for a look-up by key.

-- event_columns --
-- Part: an event, whose number is its position.
e.position, e.position, e.nonce, e.code_id, e.name, e.payload

-- add_event --
INSERT INTO pv_events (name, payload, nonce) VALUES (?, ?, random())

-- deferred_by_key --
-- Part: deferred events, found by their key.
pv_deferred AS d INDEXED BY pv_deferred_key

-- deferred_by_time --
-- Part: deferred events, found by when they are due.
pv_deferred AS d INDEXED BY pv_deferred_due

-- earlier_deferred --
-- Part: deferred events of the same key, found by it.
pv_deferred AS e INDEXED BY pv_deferred_key

-- dead_by_position --
-- Part: dead letters, found by position.
pv_deferred AS d INDEXED BY pv_deferred_dead

-- dead_by_id --
-- Part: dead letters, found by the id of the event.
pv_deferred AS d INDEXED BY pv_deferred_dead_id
