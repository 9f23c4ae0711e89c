-- Redesigned delivery, and the life of a code after it was taken.

{later_tables}

-- `retired`: codes that were revoked and are never given again. `emptied`: no code with an id up to this is left.
ALTER TABLE pv_stock DROP COLUMN reserved, ADD COLUMN retired integer NOT NULL DEFAULT 0,
    ADD COLUMN emptied bigint NOT NULL DEFAULT 0;
UPDATE pv_stock SET emptied = list_id << 32;

-- Reserved codes, and those of the latest day of a connection, are counted in parts, too; 0 is no day.
ALTER TABLE pv_distributed ADD COLUMN reserved integer NOT NULL DEFAULT 0, ADD COLUMN day integer NOT NULL DEFAULT 0,
    ADD COLUMN day_codes integer NOT NULL DEFAULT 0;

-- ---------------------------------------------------------------------------------------------------------------
-- Delivery: one position for each sink, and a row for each event that it did not take. There are no lanes any more.
-- ---------------------------------------------------------------------------------------------------------------

-- Events in the order in which sinks are sent them. pv_outbox keeps those that have no position yet, because a
-- transaction that still runs may commit an event before them. `number` and `nonce` make the id of an event: the nonce
-- is random, so that an id cannot come again after a backup was restored; it is NULL for events of earlier versions,
-- whose ids stay as they were.
CREATE TABLE pv_events (
    position bigint PRIMARY KEY,
    number bigint NOT NULL,
    nonce bigint,
    code_id bigint,
    name text,
    payload text
);

LOCK TABLE pv_outbox, pv_progress, pv_held IN ACCESS EXCLUSIVE MODE;

INSERT INTO pv_events (position, number, code_id, name, payload)
SELECT row_number() OVER (ORDER BY xid, id), id, code_id, name, payload FROM pv_outbox;

-- What was known by the old position, which had the number of the transaction in it.
CREATE TEMPORARY TABLE partner_vouchers_moved AS
SELECT e.position, o.id, o.lane, o.xid::text::numeric * 281474976710656 + o.id AS old
FROM pv_outbox AS o JOIN pv_events AS e ON e.number = o.id;

INSERT INTO pv_sinks (name, position, ahead, sent)
WITH known (sink, position, settled) AS (
    SELECT p.sink, m.position, m.old <= p.position OR m.old IN (
        SELECT a::numeric FROM json_array_elements_text(p.ahead::json) AS a)
    FROM pv_progress AS p JOIN partner_vouchers_moved AS m ON m.lane = p.lane
), first_open (sink, position) AS (
    SELECT sink, min(position) FROM known WHERE NOT settled GROUP BY sink
), beyond (sink, position, settled, island) AS (
    SELECT k.sink, k.position, k.settled,
        row_number() OVER (PARTITION BY k.sink ORDER BY k.position)
        - row_number() OVER (PARTITION BY k.sink, k.settled ORDER BY k.position)
    FROM known AS k JOIN first_open AS f ON f.sink = k.sink AND k.position > f.position
), ranges (sink, first, last) AS (
    SELECT sink, min(position), max(position) FROM beyond WHERE settled GROUP BY sink, island
), newest (position) AS (
    SELECT coalesce(max(position), 0) FROM pv_events
)
SELECT s.sink,
    coalesce((SELECT f.position - 1 FROM first_open AS f WHERE f.sink = s.sink), newest.position),
    coalesce((
        SELECT json_agg(json_build_array(r.first, r.last) ORDER BY r.first) FROM ranges AS r WHERE r.sink = s.sink
    )::text, '[]'),
    coalesce((SELECT max(k.position) FROM known AS k WHERE k.sink = s.sink AND k.settled), newest.position)
FROM (SELECT DISTINCT sink FROM pv_progress) AS s CROSS JOIN newest;

INSERT INTO pv_deferred (position, sink, event_id, key, state, attempts, failures, retry_at, reason)
SELECT m.position, h.sink, (SELECT value FROM pv_settings WHERE name = 'storage id') || '-' || m.id, h.key,
    CASE WHEN h.retry_at IS NULL THEN 'dead' ELSE 'deferred' END, h.attempts, 0,
    CASE WHEN h.retry_at IS NOT NULL AND h.position = min(h.position) FILTER (WHERE h.retry_at IS NOT NULL)
        OVER (PARTITION BY h.sink, h.key) THEN h.retry_at END,
    h.reason
FROM pv_held AS h JOIN partner_vouchers_moved AS m ON m.old = h.position;

DROP TABLE partner_vouchers_moved;
DROP TABLE pv_progress;
DROP TABLE pv_held;
DELETE FROM pv_outbox;
DELETE FROM pv_settings WHERE name LIKE 'delivery pause %';
DELETE FROM pv_leases WHERE name LIKE 'deliver:%';
ALTER TABLE pv_outbox DROP COLUMN lane,
    ADD COLUMN nonce bigint NOT NULL DEFAULT (random() * 9007199254740992)::bigint;

-- A process of the version before, which takes a lease before it uploads or delivers, fails there and writes nothing.
ALTER TABLE pv_leases RENAME COLUMN holder TO owner;

-- ---------------------------------------------------------------------------------------------------------------
-- The life of a code after it was taken.
-- ---------------------------------------------------------------------------------------------------------------

-- Codes that came back to their list. They are taken before all others.
CREATE TABLE pv_returned (
    code_id bigint PRIMARY KEY,
    code text COLLATE "C" NOT NULL
);

-- Open and confirmed reservations. `state`: 'Open' until it is ended, also after `expires_at`. `origin` as in
-- pv_assignments. An id begins with that of the code, by which it is found.
CREATE TABLE pv_reservations (
    code_id bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    code text NOT NULL,
    list_id bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    reserved_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'Open',
    ended_at bigint
);

CREATE INDEX pv_reservations_list ON pv_reservations (list_id, expires_at, id) WHERE state = 'Open';
CREATE INDEX pv_reservations_origin ON pv_reservations (origin, expires_at) WHERE state = 'Open';
CREATE INDEX pv_reservations_user ON pv_reservations (user_id, origin) WHERE state = 'Open';

-- Reservations that were released or have run out, until they are removed.
CREATE TABLE pv_ended_reservations (
    id text COLLATE "C" PRIMARY KEY,
    code_id bigint NOT NULL,
    code text NOT NULL,
    list_id bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    reserved_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    ended_at bigint NOT NULL
);

CREATE INDEX pv_ended_reservations_at ON pv_ended_reservations (ended_at);

-- How many codes count in each window of a campaign's limits, in parts: connections count in rows of their own, so that
-- transactions seldom wait for each other. `span` is the key of the window.
CREATE TABLE pv_limit_counts (
    campaign_id text COLLATE "C" NOT NULL,
    span text COLLATE "C" NOT NULL,
    part integer NOT NULL,
    codes integer NOT NULL,
    PRIMARY KEY (campaign_id, span, part)
) WITH (fillfactor = 40);

-- ---------------------------------------------------------------------------------------------------------------
-- Redemptions, and the reports of partners' files.
-- ---------------------------------------------------------------------------------------------------------------

CREATE SEQUENCE pv_report_ids;

-- Codes given a day. `day` counts from 1970 in UTC. A connection counts those of its latest day in pv_distributed, with
-- what an assignment writes anyway.
CREATE TABLE pv_given (
    list_id bigint NOT NULL,
    day integer NOT NULL,
    connection integer NOT NULL,
    codes integer NOT NULL,
    PRIMARY KEY (list_id, day, connection)
);

INSERT INTO pv_given (list_id, day, connection, codes)
SELECT code_id >> 32, assigned_at / 86400000000, 0, count(*) FROM pv_assignments GROUP BY 1, 2;

CREATE SEQUENCE pv_restocked_ids;

-- Finds the event of an assignment.
CREATE INDEX pv_events_code ON pv_events (code_id) WHERE name IS NULL;

-- ---------------------------------------------------------------------------------------------------------------
-- Views for people who look with an SQL client. Codes are masked. The library never reads them; a migration that
-- changes what they read drops them first.
-- ---------------------------------------------------------------------------------------------------------------

CREATE VIEW pv_view_lists AS
SELECT l.id AS list_id, l.partner, l.tag, l.name,
    CASE
        WHEN l.state = 'Archived' THEN l.state
        WHEN l.expires_at < extract(epoch FROM clock_timestamp()) * 1000000 THEN 'Expired'
        ELSE l.state
    END AS status,
    to_timestamp(l.expires_at / 1000000.0) AS expires_at,
    s.uploaded, s.uploaded - d.codes - d.reserved - s.withdrawn - s.retired AS available,
    d.reserved, d.codes AS distributed, s.withdrawn, s.retired,
    to_timestamp(l.created_at / 1000000.0) AS created_at, to_timestamp(l.updated_at / 1000000.0) AS updated_at
FROM pv_lists AS l
JOIN pv_stock AS s ON s.list_id = l.id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.codes), 0)::bigint AS codes, coalesce(sum(p.reserved), 0)::bigint AS reserved
    FROM pv_distributed AS p WHERE p.list_id = l.id
) AS d
WHERE l.removed = 0;

CREATE VIEW pv_view_uploads AS
SELECT u.id AS upload_id, u.list_id, u.filename, u.uploaded_by, u.status, u.accepted, u.total,
    (SELECT coalesce(sum(e.value::bigint), 0)::bigint FROM json_each_text(u.errors::json) AS e) AS error_count,
    u.withdrawn, to_timestamp(u.started_at / 1000000.0) AS started_at,
    to_timestamp(u.finished_at / 1000000.0) AS finished_at
FROM pv_uploads AS u;

CREATE VIEW pv_view_campaigns AS
SELECT k.campaign_id, k.list_id, l.partner, l.tag, k.priority, k.repeat, k.eligibility,
    to_timestamp(k.linked_at / 1000000.0) AS linked_at
FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id;

CREATE VIEW pv_view_assignments AS
SELECT a.code_id AS assignment_id, l.id AS list_id, l.partner, l.tag, a.user_id,
    CASE WHEN length(a.code) >= 8 THEN left(a.code, 2) ELSE '' END || '…' AS code,
    CASE WHEN a.origin LIKE 'c:%' THEN substr(a.origin, 3) END AS campaign_id,
    to_timestamp(a.assigned_at / 1000000.0) AS assigned_at,
    (SELECT to_timestamp(r.redeemed_at / 1000000.0)
     FROM pv_redemptions AS r WHERE r.code_id = a.code_id AND r.reverted_at IS NULL) AS redeemed_at,
    (SELECT to_timestamp(v.revoked_at / 1000000.0) FROM pv_revocations AS v WHERE v.code_id = a.code_id) AS revoked_at
FROM pv_assignments AS a JOIN pv_lists AS l ON l.id = a.code_id >> 32;
