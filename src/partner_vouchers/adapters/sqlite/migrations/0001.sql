-- The first schema.

{first_tables}

-- The last id that was given to a list or an upload: ids are not used again, also after deletion.
CREATE TABLE pv_sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO pv_sequences VALUES ('list', 0), ('upload', 0);

-- The counters of a list, apart from its texts because each assignment rewrites them.
-- `cursor` is the code that went out last, `published` the last that may, `skip_from` the first id from which
-- on pv_dead_ranges must be looked at, `next_position` where the next upload begins.
CREATE TABLE pv_stock (
    list_id INTEGER PRIMARY KEY,
    uploaded INTEGER NOT NULL DEFAULT 0,
    distributed INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    announced INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL,
    published INTEGER NOT NULL,
    skip_from INTEGER NOT NULL,
    next_position INTEGER NOT NULL DEFAULT 1
);

-- Ids of codes that nobody can get: withdrawn ones, and those of uploads that have not completed.
CREATE TABLE pv_dead_ranges (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
);

-- A code is given out once: it is the primary key. `origin` is 'c:' and the campaign, or 'l:' and the list.
CREATE TABLE pv_assignments (
    code_id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    assigned_at INTEGER NOT NULL,
    list_version INTEGER NOT NULL,
    UNIQUE (user_id, origin, ordinal)
);

-- Events on their way: that of an assignment is told by its code_id, others by name and payload.
-- The newest row must never be deleted, or its id would be given again.
CREATE TABLE pv_outbox (
    id INTEGER PRIMARY KEY,
    code_id INTEGER,
    name TEXT,
    payload TEXT
);

CREATE INDEX pv_audit_list ON pv_audit (list_id) WHERE list_id IS NOT NULL;
CREATE INDEX pv_audit_actor ON pv_audit (actor) WHERE actor IS NOT NULL;

CREATE INDEX pv_uploads_sha256 ON pv_uploads (list_id, sha256) WHERE status = 'Completed';

-- The original files: id = upload id << 20 | index of the piece.
CREATE TABLE pv_upload_pieces (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);

-- The refused rows: id = upload id << 32 | line.
CREATE TABLE pv_upload_faults (
    id INTEGER PRIMARY KEY,
    raw TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
);

-- `process` tells the operating system's process, so that a dead one's lease is free at once.
CREATE TABLE pv_leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    process TEXT NOT NULL
) WITHOUT ROWID;
