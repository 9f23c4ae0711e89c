-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before INTEGER NOT NULL DEFAULT 0;

-- What a page asks about a file of codes. `first_row` is a JSON string; `warnings` a JSON object of counts by kind.
ALTER TABLE pv_uploads ADD COLUMN first_row TEXT;
ALTER TABLE pv_uploads ADD COLUMN warnings TEXT NOT NULL DEFAULT '{}';

-- Codes that were revoked and are never given again.
ALTER TABLE pv_stock ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;

-- What is remembered of the lists of a campaign is out of date whenever a list or a link changes.
CREATE TRIGGER pv_lists_changed AFTER UPDATE ON pv_lists BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_added AFTER INSERT ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_changed AFTER UPDATE ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_removed AFTER DELETE ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Delivery: one position for each sink, and a row for each event that it did not take. There are no lanes any more.
-- ---------------------------------------------------------------------------------------------------------------

-- How far each sink has come. `ahead`: a JSON list of the ranges beyond `position` that are settled too. `sent`: the
-- newest event that was in a call. `suspect`: the event that was alone in the call that failed last.
CREATE TABLE pv_sinks (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    ahead TEXT NOT NULL,
    sent INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    paused_until INTEGER,
    suspect INTEGER,
    cancelled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Events that a sink has not taken: `state` is 'deferred', 'in flight' or 'dead'. Of each key the first that is not
-- dead has a `retry_at`.
CREATE TABLE pv_deferred (
    position INTEGER NOT NULL,
    sink TEXT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    retry_at INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (position, sink)
) WITHOUT ROWID;

CREATE INDEX pv_deferred_key ON pv_deferred (sink, key, position) WHERE state <> 'dead';
CREATE INDEX pv_deferred_due ON pv_deferred (sink, retry_at, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_deferred_dead ON pv_deferred (sink, position) WHERE state = 'dead';
CREATE INDEX pv_deferred_dead_id ON pv_deferred (sink, event_id) WHERE state = 'dead';

INSERT INTO pv_sinks (name, position, ahead, sent)
WITH known (sink, position, settled) AS (
    SELECT p.sink, o.id, o.id <= p.position OR EXISTS (SELECT 1 FROM json_each(p.ahead) AS a WHERE a.value = o.id)
    FROM pv_progress AS p JOIN pv_outbox AS o ON o.lane = p.lane
), first_open (sink, position) AS (
    SELECT sink, min(position) FROM known WHERE NOT settled GROUP BY sink
), beyond (sink, position, settled, island) AS (
    SELECT k.sink, k.position, k.settled,
        row_number() OVER (PARTITION BY k.sink ORDER BY k.position)
        - row_number() OVER (PARTITION BY k.sink, k.settled ORDER BY k.position)
    FROM known AS k JOIN first_open AS f ON f.sink = k.sink AND k.position > f.position
), ranges (sink, first, last) AS (
    SELECT sink, min(position), max(position) FROM beyond WHERE settled GROUP BY sink, island
)
SELECT s.sink,
    ifnull((SELECT f.position - 1 FROM first_open AS f WHERE f.sink = s.sink), s.position),
    ifnull((
        SELECT json_group_array(json_array(r.first, r.last))
        FROM (SELECT first, last FROM ranges WHERE sink = s.sink ORDER BY first) AS r
    ), '[]'),
    ifnull((SELECT max(k.position) FROM known AS k WHERE k.sink = s.sink AND k.settled), s.position)
FROM (
    SELECT sink, max(max(position), (SELECT ifnull(max(id), 0) FROM pv_outbox)) AS position
    FROM pv_progress GROUP BY sink
) AS s;

INSERT INTO pv_deferred (position, sink, event_id, key, state, attempts, failures, retry_at, reason)
SELECT h.position, h.sink, (SELECT value FROM pv_settings WHERE name = 'storage id') || '-' || h.position, h.key,
    CASE WHEN h.retry_at IS NULL THEN 'dead' ELSE 'deferred' END, h.attempts, 0,
    CASE WHEN h.position = (
        SELECT min(e.position) FROM pv_held AS e
        WHERE e.sink = h.sink AND e.lane = h.lane AND e.key = h.key AND e.retry_at IS NOT NULL
    ) THEN h.retry_at END,
    h.reason
FROM pv_held AS h;

DROP TABLE pv_progress;
DROP TABLE pv_held;
DELETE FROM pv_settings WHERE name LIKE 'delivery pause %';
DELETE FROM pv_leases WHERE name LIKE 'deliver:%';

-- A process of the version before that still runs fails at its leases, or at the events that it writes, before it
-- has stored anything.
ALTER TABLE pv_leases RENAME COLUMN holder TO owner;

-- `nonce`: a random number, so that the id of an event cannot come again after a backup was restored; NULL for events
-- of earlier versions, whose ids stay as they were. The newest row must never be deleted, or its position would be
-- used again.
CREATE TABLE pv_events (
    position INTEGER PRIMARY KEY,
    code_id INTEGER,
    name TEXT,
    payload TEXT,
    nonce INTEGER
);

INSERT INTO pv_events (position, code_id, name, payload) SELECT id, code_id, name, payload FROM pv_outbox;
DROP TABLE pv_outbox;
