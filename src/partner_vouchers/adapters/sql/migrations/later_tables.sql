-- Tables of delivery, and of the life of a code after it was taken, that both databases share, with PostgreSQL's types.

-- `used_before`: how many codes were used before the latest upload: a percentage used counts from there.
-- `expiring_soon`: how long before the expiry an event is written. `notified_expiry`: for which expiry it was.
ALTER TABLE pv_lists ADD COLUMN used_before integer NOT NULL DEFAULT 0;
ALTER TABLE pv_lists ADD COLUMN expiring_soon bigint;
ALTER TABLE pv_lists ADD COLUMN notified_expiry bigint;
CREATE INDEX pv_lists_expiring ON pv_lists (expires_at, id) WHERE removed = 0 AND expiring_soon IS NOT NULL;

-- `first_row`: a JSON string. `warnings`: a JSON object of counts by kind. `is_withdrawn`: codes of the upload that come
-- back are withdrawn, too.
ALTER TABLE pv_uploads ADD COLUMN first_row text;
ALTER TABLE pv_uploads ADD COLUMN warnings text NOT NULL DEFAULT '{}';
ALTER TABLE pv_uploads ADD COLUMN is_withdrawn boolean NOT NULL DEFAULT false;
UPDATE pv_uploads SET is_withdrawn = (withdrawn > 0);

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
) WITHOUT ROWID WITH (fillfactor = 40);

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
) WITHOUT ROWID;

CREATE INDEX pv_deferred_key ON pv_deferred (sink, key, position) WHERE state <> 'dead';
CREATE INDEX pv_deferred_due ON pv_deferred (sink, retry_at, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_deferred_dead ON pv_deferred (sink, position) WHERE state = 'dead';
CREATE INDEX pv_deferred_dead_id ON pv_deferred (sink, event_id) WHERE state = 'dead';

-- The limits of campaigns, in the order in which they were set.
CREATE TABLE pv_limits (
    campaign_id text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    per text NOT NULL,
    codes integer NOT NULL,
    period text,
    zone text,
    PRIMARY KEY (campaign_id, place)
) WITHOUT ROWID;

-- Refused requests. `day` counts from 1970 in UTC. `list_id` is 0 where requests are counted, not lists.
CREATE TABLE pv_refusals (
    campaign_id text COLLATE "C" NOT NULL,
    day integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    list_id bigint NOT NULL,
    requests integer NOT NULL,
    PRIMARY KEY (campaign_id, day, reason, list_id)
) WITHOUT ROWID;

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
) WITHOUT ROWID;

-- Codes that were used although nobody was given them. They are not in pv_codes any more.
CREATE TABLE pv_retired (
    code_id bigint PRIMARY KEY
);

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

-- id = report id << 32 | line. `cells`: a JSON list of the cells, empty where the row's code is that of its assignment.
CREATE TABLE pv_report_rows (
    id bigint PRIMARY KEY,
    kind text NOT NULL,
    cells text NOT NULL,
    code_id bigint,
    fault text
);

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
