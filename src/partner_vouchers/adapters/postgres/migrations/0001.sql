-- The first schema. Instants are microseconds since 1970 in UTC. Texts are compared by their code points.

-- How the storage was set up, and what it is.
CREATE TABLE pv_settings (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

CREATE SEQUENCE pv_list_ids;
CREATE SEQUENCE pv_upload_ids;

CREATE TABLE pv_partners (
    name text COLLATE "C" PRIMARY KEY,
    created_at bigint NOT NULL
);

-- Where codes must be unique; `key` is what the duplicate policy said.
CREATE TABLE pv_scopes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE
);

-- `removed`: 0 for a list, 1 for a deleted one whose codes wait to be cleared away, 2 once they are.
CREATE TABLE pv_lists (
    id bigint PRIMARY KEY,
    partner text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text NOT NULL,
    expires_at bigint NOT NULL,
    state text NOT NULL,
    low_stock_at text,
    scope_id bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version integer NOT NULL,
    removed smallint NOT NULL DEFAULT 0,
    search_text text COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX pv_lists_tag ON pv_lists (partner, tag) WHERE state <> 'Archived' AND removed = 0;
CREATE INDEX pv_lists_updated_at ON pv_lists (updated_at, id) WHERE removed = 0;
CREATE INDEX pv_lists_expires_at ON pv_lists (expires_at, id) WHERE removed = 0;
CREATE INDEX pv_lists_scope ON pv_lists (scope_id);
CREATE INDEX pv_lists_removed ON pv_lists (id) WHERE removed = 1;

-- What seldom changes of a list's counters. `published` is the last id that may go out, `next_position` where
-- the next upload begins.
CREATE TABLE pv_stock (
    list_id bigint PRIMARY KEY,
    uploaded integer NOT NULL DEFAULT 0,
    reserved integer NOT NULL DEFAULT 0,
    withdrawn integer NOT NULL DEFAULT 0,
    published bigint NOT NULL
);

-- The stock level that was announced last. A row of its own, which a host's transaction may hold for long.
CREATE TABLE pv_announced (
    list_id bigint PRIMARY KEY,
    level smallint NOT NULL
);

CREATE TABLE pv_positions (
    list_id bigint PRIMARY KEY,
    next_position bigint NOT NULL DEFAULT 1
);

-- How many codes of a list were given out, in parts: each connection counts in a row of its own, so that no
-- transaction waits for another. The sum is the counter. Room on the pages lets a row be rewritten in place.
CREATE TABLE pv_distributed (
    list_id bigint NOT NULL,
    connection integer NOT NULL,
    codes integer NOT NULL,
    PRIMARY KEY (list_id, connection)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What a list said at each version, so that an assignment can always tell its event.
CREATE TABLE pv_terms (
    list_id bigint NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (list_id, version)
);

-- The age of a link is its id.
CREATE TABLE pv_links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id text COLLATE "C" NOT NULL,
    list_id bigint NOT NULL,
    repeat text NOT NULL,
    priority integer NOT NULL,
    eligibility text,
    linked_at bigint NOT NULL,
    UNIQUE (campaign_id, list_id)
);

CREATE INDEX pv_links_list ON pv_links (list_id);

-- The codes that nobody has: id = list id << 32 | position in the list; gaps are harmless. Those up to
-- `pv_stock.published` can be taken, which deletes them here; those beyond belong to an upload that runs.
CREATE TABLE pv_codes (
    id bigint PRIMARY KEY,
    code text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- The duplicate rule as a constraint. An entry whose code nobody has any more (of an archived or removed list,
-- withdrawn, or left behind by an upload) is taken over by whoever uploads the code next.
CREATE TABLE pv_active_codes (
    scope_id bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    code_id bigint NOT NULL,
    PRIMARY KEY (scope_id, code)
);

-- Codes that somebody has, but whose entry in pv_active_codes was taken over.
CREATE TABLE pv_superseded_codes (
    code text COLLATE "C" NOT NULL,
    code_id bigint NOT NULL,
    PRIMARY KEY (code, code_id)
);

-- A code is given out once: it is the primary key. `origin` is 'c:' and the campaign, or 'l:' and the list.
CREATE TABLE pv_assignments (
    code_id bigint PRIMARY KEY,
    code text NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    ordinal integer NOT NULL,
    assigned_at bigint NOT NULL,
    list_version integer NOT NULL,
    UNIQUE (user_id, origin, ordinal)
);

CREATE TABLE pv_idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    fingerprint text NOT NULL,
    code_ids text NOT NULL
);

-- Events on their way: that of an assignment is told by its code_id, others by name and payload. Who reads it
-- reads only what transactions wrote that are older than each one that still runs, in the order of transactions.
-- `xid` is the newest transaction that the row may follow: its own, or one that ended before the row was written.
CREATE TABLE pv_outbox (
    xid xid8 NOT NULL DEFAULT greatest(
        pg_current_xact_id(),
        (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text::xid8),
    id bigint GENERATED ALWAYS AS IDENTITY,
    code_id bigint,
    name text,
    payload text,
    lane smallint NOT NULL,
    PRIMARY KEY (xid, id)
);

-- How far each sink has come. `ahead`: a JSON list of the positions beyond `position` that are settled too.
CREATE TABLE pv_progress (
    sink text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    position numeric NOT NULL,
    ahead text NOT NULL,
    PRIMARY KEY (sink, lane)
);

-- Events that a sink has not taken. `retry_at` is NULL for a dead letter.
CREATE TABLE pv_held (
    position numeric NOT NULL,
    sink text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    retry_at bigint,
    reason text NOT NULL,
    PRIMARY KEY (position, sink)
);

CREATE INDEX pv_held_keys ON pv_held (sink, lane, key, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_due ON pv_held (sink, lane, retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_dead ON pv_held (sink, position) WHERE retry_at IS NULL;

CREATE TABLE pv_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list_id bigint,
    actor text COLLATE "C",
    name text NOT NULL,
    payload text NOT NULL
);

CREATE INDEX pv_audit_list ON pv_audit (list_id, id) WHERE list_id IS NOT NULL;
CREATE INDEX pv_audit_actor ON pv_audit (actor, id) WHERE actor IS NOT NULL;

-- What imports have claimed and not published: the range of ids, and the connection that brings them in, without
-- which they belong to nobody.
CREATE TABLE pv_imports (
    first_code bigint PRIMARY KEY,
    last_code bigint NOT NULL,
    list_id bigint NOT NULL,
    importer text NOT NULL
);

-- `first_code` and `last_code` bound the ids that the codes of a completed upload have.
CREATE TABLE pv_uploads (
    id bigint PRIMARY KEY,
    list_id bigint NOT NULL,
    uploaded_by text NOT NULL,
    filename text NOT NULL,
    started_at bigint NOT NULL,
    status text NOT NULL,
    finished_at bigint,
    size bigint,
    sha256 text,
    encoding text NOT NULL,
    header boolean,
    header_skipped boolean NOT NULL,
    total integer NOT NULL,
    accepted integer NOT NULL,
    errors text NOT NULL,
    withdrawn integer NOT NULL,
    failure text,
    first_code bigint,
    last_code bigint
);

CREATE INDEX pv_uploads_list ON pv_uploads (list_id, id);
CREATE INDEX pv_uploads_running ON pv_uploads (id) WHERE status = 'In Progress';
CREATE INDEX pv_uploads_sha ON pv_uploads (list_id, sha256) WHERE status = 'Completed';

-- The original files.
CREATE TABLE pv_upload_pieces (
    upload_id bigint NOT NULL,
    index integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (upload_id, index)
);

-- The refused rows. `raw` is in UTF-8, and may hold what no text of this server may.
CREATE TABLE pv_upload_faults (
    upload_id bigint NOT NULL,
    line integer NOT NULL,
    raw bytea NOT NULL,
    kind text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (upload_id, line)
);

-- `backend` tells the connection by which the holder is known to be alive.
CREATE TABLE pv_leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    until bigint NOT NULL,
    backend text NOT NULL
);
