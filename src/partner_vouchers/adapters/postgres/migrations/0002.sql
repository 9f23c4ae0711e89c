-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before integer NOT NULL DEFAULT 0;

-- What a page asks about a file of codes. `first_row` is a JSON string; `warnings` a JSON object of counts by kind.
ALTER TABLE pv_uploads ADD COLUMN first_row text, ADD COLUMN warnings text NOT NULL DEFAULT '{}';

-- `retired`: codes that were revoked and are never given again. `emptied`: no code with an id up to this is left.
ALTER TABLE pv_stock ADD COLUMN retired integer NOT NULL DEFAULT 0, ADD COLUMN emptied bigint NOT NULL DEFAULT 0;
UPDATE pv_stock SET emptied = list_id << 32;

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

-- How far each sink has come. `ahead`: a JSON list of the ranges beyond `position` that are settled too. `sent`: the
-- newest event that was in a call. `suspect`: the event that was alone in the call that failed last.
CREATE TABLE pv_sinks (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    ahead text NOT NULL,
    sent bigint NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    paused_until bigint,
    suspect bigint,
    cancelled bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);

-- Events that a sink has not taken: `state` is 'deferred', 'in flight' or 'dead'. Of each key the first that is not
-- dead has a `retry_at`.
CREATE TABLE pv_deferred (
    position bigint NOT NULL,
    sink text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    failures integer NOT NULL,
    retry_at bigint,
    reason text NOT NULL,
    PRIMARY KEY (position, sink)
);

CREATE INDEX pv_deferred_key ON pv_deferred (sink, key, position) WHERE state <> 'dead';
CREATE INDEX pv_deferred_due ON pv_deferred (sink, retry_at, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_deferred_dead ON pv_deferred (sink, position) WHERE state = 'dead';
CREATE INDEX pv_deferred_dead_id ON pv_deferred (sink, event_id) WHERE state = 'dead';

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
