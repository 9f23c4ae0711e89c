-- The life of a code after it was taken.

-- Codes that came back to their list. They are taken before all others.
CREATE TABLE pv_returned (
    code_id bigint PRIMARY KEY,
    code text COLLATE "C" NOT NULL
);

-- Reserved codes are counted in parts, like those that were given out; the column of pv_stock stays zero.
ALTER TABLE pv_distributed ADD COLUMN reserved integer NOT NULL DEFAULT 0;

-- Whether the codes of the upload were withdrawn: codes of it that come back are withdrawn, too.
ALTER TABLE pv_uploads ADD COLUMN is_withdrawn boolean NOT NULL DEFAULT false;
UPDATE pv_uploads SET is_withdrawn = true WHERE withdrawn > 0;

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

-- The limits of campaigns, in the order in which they were set.
CREATE TABLE pv_limits (
    campaign_id text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    per text NOT NULL,
    codes integer NOT NULL,
    period text,
    zone text,
    PRIMARY KEY (campaign_id, place)
);

-- How many codes count in each window of a campaign's limits, in parts: connections count in rows of their own, so that
-- transactions seldom wait for each other. `span` is the key of the window.
CREATE TABLE pv_limit_counts (
    campaign_id text COLLATE "C" NOT NULL,
    span text COLLATE "C" NOT NULL,
    part integer NOT NULL,
    codes integer NOT NULL,
    PRIMARY KEY (campaign_id, span, part)
) WITH (fillfactor = 40);

-- Refused requests. `day` counts from 1970 in UTC. `list_id` is 0 where requests are counted, not lists.
CREATE TABLE pv_refusals (
    campaign_id text COLLATE "C" NOT NULL,
    day integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    list_id bigint NOT NULL,
    requests integer NOT NULL,
    PRIMARY KEY (campaign_id, day, reason, list_id)
);

-- ---------------------------------------------------------------------------------------------------------------
-- Redemptions, and the reports of partners' files.
-- ---------------------------------------------------------------------------------------------------------------

-- That codes were used. `number` is 1 for the first redemption of a code; a next one follows only after it was reverted.
CREATE TABLE pv_redemptions (
    code_id bigint NOT NULL,
    number integer NOT NULL,
    order_id text COLLATE "C",
    redeemed_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    amount text,
    late boolean NOT NULL,
    reverted_at bigint,
    PRIMARY KEY (code_id, number)
);

-- Codes that were used although nobody was given them. They are not in pv_codes any more.
CREATE TABLE pv_retired (
    code_id bigint PRIMARY KEY
);

CREATE SEQUENCE pv_report_ids;

-- `counts`: a JSON object of numbers of rows by kind.
CREATE TABLE pv_reports (
    id bigint PRIMARY KEY,
    partner text COLLATE "C",
    list_id bigint,
    uploaded_by text NOT NULL,
    filename text NOT NULL,
    sha256 text NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    last_line bigint NOT NULL,
    counts text NOT NULL
);

CREATE INDEX pv_reports_unfinished ON pv_reports (sha256) WHERE finished_at IS NULL;

-- The rows of reports: id = report id << 32 | line. `cells`: a JSON list of the texts that are kept of the row.
CREATE TABLE pv_report_rows (
    id bigint PRIMARY KEY,
    kind text NOT NULL,
    cells text NOT NULL,
    code_id bigint,
    fault text
);

-- Codes given a day. `day` counts from 1970 in UTC. A connection counts those of its latest day in pv_distributed, with
-- what an assignment writes anyway; 0 is no day.
CREATE TABLE pv_given (
    list_id bigint NOT NULL,
    day integer NOT NULL,
    connection integer NOT NULL,
    codes integer NOT NULL,
    PRIMARY KEY (list_id, day, connection)
);

ALTER TABLE pv_distributed ADD COLUMN day integer NOT NULL DEFAULT 0, ADD COLUMN day_codes integer NOT NULL DEFAULT 0;
INSERT INTO pv_given (list_id, day, connection, codes)
SELECT code_id >> 32, assigned_at / 86400000000, 0, count(*) FROM pv_assignments GROUP BY 1, 2;

-- Codes that were taken back. `restocked_as`: the new entry of the code, NULL for a retired one. `source`: the code as it
-- was uploaded.
CREATE TABLE pv_revocations (
    code_id bigint PRIMARY KEY,
    revoked_at bigint NOT NULL,
    actor text,
    reason text,
    restocked_as bigint,
    source bigint NOT NULL
);

CREATE UNIQUE INDEX pv_revocations_restocked ON pv_revocations (restocked_as) WHERE restocked_as IS NOT NULL;
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

-- `expiring_soon`: how long before the expiry an event is written. `notified_expiry`: for which expiry it was.
ALTER TABLE pv_lists ADD COLUMN expiring_soon bigint;
ALTER TABLE pv_lists ADD COLUMN notified_expiry bigint;
CREATE INDEX pv_lists_expiring ON pv_lists (expires_at, id) WHERE removed = 0 AND expiring_soon IS NOT NULL;
