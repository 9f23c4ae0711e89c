-- Redesigned delivery, and the life of a code after it was taken.

{later_tables}

-- `retired`: codes that were revoked and are never given again. `returned`: how many codes of the list pv_returned has.
-- `next_run_out`: no open reservation of the list runs out before; NULL where none is open. `day_codes`: how many codes were
-- given on the latest day; an assignment writes this row anyway. `day` counts from 1970 in UTC; 0 is no day.
ALTER TABLE pv_stock ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pv_stock ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pv_stock ADD COLUMN next_run_out INTEGER;
ALTER TABLE pv_stock ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pv_stock ADD COLUMN day_codes INTEGER NOT NULL DEFAULT 0;

-- What is remembered of the lists of a campaign is out of date whenever a list, a link or a limit changes.
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
CREATE TRIGGER pv_limits_added AFTER INSERT ON pv_limits BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_limits_removed AFTER DELETE ON pv_limits BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Delivery: one position for each sink, and a row for each event that it did not take. There are no lanes any more.
-- ---------------------------------------------------------------------------------------------------------------

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

-- ---------------------------------------------------------------------------------------------------------------
-- The life of a code after it was taken.
-- ---------------------------------------------------------------------------------------------------------------

-- Codes that came back to their list. They are taken before all others.
CREATE TABLE pv_returned (
    code_id INTEGER PRIMARY KEY
);

-- Open and confirmed reservations. `state`: 'Open' until it is ended, also after `expires_at`. `origin` as in
-- pv_assignments. An id begins with that of the code, by which it is found.
CREATE TABLE pv_reservations (
    code_id INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    list_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'Open',
    ended_at INTEGER
);

-- Not of open ones alone: a confirmation would have to write more pages. Open ones are found from `next_run_out` on.
CREATE INDEX pv_reservations_list ON pv_reservations (list_id, expires_at, id);
CREATE INDEX pv_reservations_user ON pv_reservations (user_id, origin);

-- Which lists have a reservation that runs out next.
CREATE INDEX pv_stock_run_out ON pv_stock (next_run_out) WHERE next_run_out IS NOT NULL;

-- Reservations that were released or have run out, until they are removed.
CREATE TABLE pv_ended_reservations (
    id TEXT PRIMARY KEY,
    code_id INTEGER NOT NULL,
    list_id INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX pv_ended_reservations_at ON pv_ended_reservations (ended_at);

-- How many codes count in each window of a campaign's limits. `span` is the key of the window.
CREATE TABLE pv_limit_counts (
    campaign_id TEXT NOT NULL,
    span TEXT NOT NULL,
    codes INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, span)
) WITHOUT ROWID;

-- ---------------------------------------------------------------------------------------------------------------
-- Redemptions, and the reports of partners' files.
-- ---------------------------------------------------------------------------------------------------------------

INSERT OR IGNORE INTO pv_sequences VALUES ('report', 0);

-- Codes given on each day before the latest one, of which pv_stock has them.
CREATE TABLE pv_given (
    list_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    PRIMARY KEY (list_id, day)
) WITHOUT ROWID;

INSERT INTO pv_given (list_id, day, codes)
SELECT code_id >> 32, assigned_at / 86400000000, count(*) FROM pv_assignments GROUP BY 1, 2;

-- The position of the event of an assignment.
ALTER TABLE pv_assignments ADD COLUMN event INTEGER;
UPDATE pv_assignments SET event = e.position FROM pv_events AS e WHERE e.code_id = pv_assignments.code_id AND e.name IS NULL;

-- ---------------------------------------------------------------------------------------------------------------
-- Views for people who look with an SQL client. Codes are masked, times are in UTC. The library never reads them; a
-- migration that changes what they read drops them first.
-- ---------------------------------------------------------------------------------------------------------------

CREATE VIEW pv_view_lists AS
SELECT l.id AS list_id, l.partner, l.tag, l.name,
    CASE
        WHEN l.state = 'Archived' THEN l.state
        WHEN l.expires_at < (julianday('now') - 2440587.5) * 86400000000 THEN 'Expired'
        ELSE l.state
    END AS status,
    strftime('%Y-%m-%d %H:%M:%S', l.expires_at / 1000000, 'unixepoch') AS expires_at,
    s.uploaded, s.uploaded - s.distributed - s.reserved - s.withdrawn - s.retired AS available,
    s.reserved, s.distributed, s.withdrawn, s.retired,
    strftime('%Y-%m-%d %H:%M:%S', l.created_at / 1000000, 'unixepoch') AS created_at,
    strftime('%Y-%m-%d %H:%M:%S', l.updated_at / 1000000, 'unixepoch') AS updated_at
FROM pv_lists AS l JOIN pv_stock AS s ON s.list_id = l.id
WHERE l.removed = 0;

CREATE VIEW pv_view_uploads AS
SELECT u.id AS upload_id, u.list_id, u.filename, u.uploaded_by, u.status, u.accepted, u.total,
    (SELECT coalesce(sum(e.value), 0) FROM json_each(u.errors) AS e) AS error_count, u.withdrawn,
    strftime('%Y-%m-%d %H:%M:%S', u.started_at / 1000000, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%S', u.finished_at / 1000000, 'unixepoch') AS finished_at
FROM pv_uploads AS u;

CREATE VIEW pv_view_campaigns AS
SELECT k.campaign_id, k.list_id, l.partner, l.tag, k.priority, k.repeat, k.eligibility,
    strftime('%Y-%m-%d %H:%M:%S', k.linked_at / 1000000, 'unixepoch') AS linked_at
FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id;

CREATE VIEW pv_view_assignments AS
SELECT a.code_id AS assignment_id, l.id AS list_id, l.partner, l.tag, a.user_id,
    CASE WHEN length(c.code) >= 8 THEN substr(c.code, 1, 2) ELSE '' END || '…' AS code,
    CASE WHEN a.origin LIKE 'c:%' THEN substr(a.origin, 3) END AS campaign_id,
    strftime('%Y-%m-%d %H:%M:%S', a.assigned_at / 1000000, 'unixepoch') AS assigned_at,
    (SELECT strftime('%Y-%m-%d %H:%M:%S', r.redeemed_at / 1000000, 'unixepoch')
     FROM pv_redemptions AS r WHERE r.code_id = a.code_id AND r.reverted_at IS NULL) AS redeemed_at,
    (SELECT strftime('%Y-%m-%d %H:%M:%S', v.revoked_at / 1000000, 'unixepoch')
     FROM pv_revocations AS v WHERE v.code_id = a.code_id) AS revoked_at
FROM pv_assignments AS a JOIN pv_codes AS c ON c.id = a.code_id JOIN pv_lists AS l ON l.id = a.code_id >> 32;
