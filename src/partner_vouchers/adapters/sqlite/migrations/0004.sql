-- The life of a code after it was taken.

-- Codes that came back to their list. They are taken before all others.
CREATE TABLE pv_returned (
    code_id INTEGER PRIMARY KEY
);

-- `returned`: how many codes of the list pv_returned has. `next_run_out`: no open reservation of the list runs out
-- before; NULL where none is open.
ALTER TABLE pv_stock ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pv_stock ADD COLUMN next_run_out INTEGER;

-- Whether the codes of the upload were withdrawn: codes of it that come back are withdrawn, too.
ALTER TABLE pv_uploads ADD COLUMN is_withdrawn INTEGER NOT NULL DEFAULT 0;
UPDATE pv_uploads SET is_withdrawn = 1 WHERE withdrawn > 0;

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

-- The limits of campaigns, in the order in which they were set.
CREATE TABLE pv_limits (
    campaign_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    per TEXT NOT NULL,
    codes INTEGER NOT NULL,
    period TEXT,
    zone TEXT,
    PRIMARY KEY (campaign_id, place)
) WITHOUT ROWID;

-- How many codes count in each window of a campaign's limits. `span` is the key of the window.
CREATE TABLE pv_limit_counts (
    campaign_id TEXT NOT NULL,
    span TEXT NOT NULL,
    codes INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, span)
) WITHOUT ROWID;

-- Refused requests. `day` counts from 1970 in UTC. `list_id` is 0 where requests are counted, not lists.
CREATE TABLE pv_refusals (
    campaign_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    reason TEXT NOT NULL,
    list_id INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, day, reason, list_id)
) WITHOUT ROWID;

CREATE TRIGGER pv_limits_added AFTER INSERT ON pv_limits BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_limits_removed AFTER DELETE ON pv_limits BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;

-- ---------------------------------------------------------------------------------------------------------------
-- Redemptions, and the reports of partners' files.
-- ---------------------------------------------------------------------------------------------------------------

-- That codes were used. `number` is 1 for the first redemption of a code; a next one follows only after it was reverted.
CREATE TABLE pv_redemptions (
    code_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    order_id TEXT,
    redeemed_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    amount TEXT,
    late INTEGER NOT NULL,
    reverted_at INTEGER,
    PRIMARY KEY (code_id, number)
) WITHOUT ROWID;

-- Codes that were used although nobody was given them. They are not in pv_codes any more.
CREATE TABLE pv_retired (
    code_id INTEGER PRIMARY KEY
);

-- `counts`: a JSON object of numbers of rows by kind.
CREATE TABLE pv_reports (
    id INTEGER PRIMARY KEY,
    partner TEXT,
    list_id INTEGER,
    uploaded_by TEXT NOT NULL,
    filename TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    last_line INTEGER NOT NULL,
    counts TEXT NOT NULL
);

CREATE INDEX pv_reports_unfinished ON pv_reports (sha256) WHERE finished_at IS NULL;

-- The rows of reports: id = report id << 32 | line. `cells`: a JSON list of the texts that are kept of the row.
CREATE TABLE pv_report_rows (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    cells TEXT NOT NULL,
    code_id INTEGER,
    fault TEXT
);

INSERT OR IGNORE INTO pv_sequences VALUES ('report', 0);

-- Codes given a day. `day` counts from 1970 in UTC. Those of the latest day are counted in pv_stock, with what an
-- assignment writes anyway; 0 is no day.
CREATE TABLE pv_given (
    list_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    PRIMARY KEY (list_id, day)
) WITHOUT ROWID;

ALTER TABLE pv_stock ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pv_stock ADD COLUMN day_codes INTEGER NOT NULL DEFAULT 0;
INSERT INTO pv_given (list_id, day, codes)
SELECT code_id >> 32, assigned_at / 86400000000, count(*) FROM pv_assignments GROUP BY 1, 2;

-- Codes that were taken back. `restocked_as`: the new entry of the code, NULL for a retired one. `source`: the code as it
-- was uploaded.
CREATE TABLE pv_revocations (
    code_id INTEGER PRIMARY KEY,
    revoked_at INTEGER NOT NULL,
    actor TEXT,
    reason TEXT,
    restocked_as INTEGER,
    source INTEGER NOT NULL
);

CREATE UNIQUE INDEX pv_revocations_restocked ON pv_revocations (restocked_as) WHERE restocked_as IS NOT NULL;

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

-- `expiring_soon`: how long before the expiry an event is written. `notified_expiry`: for which expiry it was.
ALTER TABLE pv_lists ADD COLUMN expiring_soon INTEGER;
ALTER TABLE pv_lists ADD COLUMN notified_expiry INTEGER;
CREATE INDEX pv_lists_expiring ON pv_lists (expires_at, id) WHERE removed = 0 AND expiring_soon IS NOT NULL;
