-- The first schema. Texts are compared by their code points.

{first_tables}

CREATE SEQUENCE pv_list_ids;
CREATE SEQUENCE pv_upload_ids;

CREATE INDEX pv_lists_expires_at ON pv_lists (expires_at, id) WHERE removed = 0;

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
