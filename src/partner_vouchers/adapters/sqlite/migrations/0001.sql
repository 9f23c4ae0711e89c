-- The first schema. Instants are microseconds since 1970 in UTC.

-- How the storage was set up, and what it is.
CREATE TABLE pv_settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The last id that was given to a list or an upload: ids are not used again, also after deletion.
CREATE TABLE pv_sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO pv_sequences VALUES ('list', 0), ('upload', 0);

CREATE TABLE pv_partners (
    name TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Where codes must be unique; `key` is what the duplicate policy said.
CREATE TABLE pv_scopes (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);

-- `removed`: 0 for a list, 1 for a deleted one whose codes wait to be cleared away, 2 once they are.
CREATE TABLE pv_lists (
    id INTEGER PRIMARY KEY,
    partner TEXT NOT NULL,
    tag TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    low_stock_at TEXT,
    scope_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0,
    search_text TEXT NOT NULL
);

CREATE UNIQUE INDEX pv_lists_tag ON pv_lists (partner, tag) WHERE state <> 'Archived' AND removed = 0;
CREATE INDEX pv_lists_updated_at ON pv_lists (updated_at, id) WHERE removed = 0;
CREATE INDEX pv_lists_scope ON pv_lists (scope_id);
CREATE INDEX pv_lists_removed ON pv_lists (id) WHERE removed = 1;

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

-- What a list said at each version, so that an assignment can always tell its event.
CREATE TABLE pv_terms (
    list_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (list_id, version)
) WITHOUT ROWID;

-- The age of a link is its id.
CREATE TABLE pv_links (
    id INTEGER PRIMARY KEY,
    campaign_id TEXT NOT NULL,
    list_id INTEGER NOT NULL,
    repeat TEXT NOT NULL,
    priority INTEGER NOT NULL,
    eligibility TEXT,
    linked_at INTEGER NOT NULL,
    UNIQUE (campaign_id, list_id)
);

CREATE INDEX pv_links_list ON pv_links (list_id);

-- All codes: id = list id << 32 | position in the list. Append-only; gaps are harmless.
CREATE TABLE pv_codes (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL
);

-- The duplicate rule as a constraint. The scope leads the key, so that an upload touches one region of it.
-- An entry of an archived or removed list, or in a dead range, is taken over by whoever uploads the code next.
CREATE TABLE pv_active_codes (
    scope_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    code_id INTEGER NOT NULL,
    PRIMARY KEY (scope_id, code)
) WITHOUT ROWID;

-- Codes that somebody has, but whose entry in pv_active_codes was taken over.
CREATE TABLE pv_superseded_codes (
    code TEXT NOT NULL,
    code_id INTEGER NOT NULL,
    PRIMARY KEY (code, code_id)
) WITHOUT ROWID;

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

CREATE TABLE pv_idempotency_keys (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    code_ids TEXT NOT NULL
) WITHOUT ROWID;

-- Events on their way: that of an assignment is told by its code_id, others by name and payload.
-- The newest row must never be deleted, or its id would be given again.
CREATE TABLE pv_outbox (
    id INTEGER PRIMARY KEY,
    code_id INTEGER,
    name TEXT,
    payload TEXT
);

CREATE TABLE pv_audit (
    id INTEGER PRIMARY KEY,
    list_id INTEGER,
    actor TEXT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL
);

CREATE INDEX pv_audit_list ON pv_audit (list_id) WHERE list_id IS NOT NULL;
CREATE INDEX pv_audit_actor ON pv_audit (actor) WHERE actor IS NOT NULL;

-- `first_code` and `last_code` bound the ids that the codes of the upload can have.
CREATE TABLE pv_uploads (
    id INTEGER PRIMARY KEY,
    list_id INTEGER NOT NULL,
    uploaded_by TEXT NOT NULL,
    filename TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished_at INTEGER,
    size INTEGER,
    sha256 TEXT,
    encoding TEXT NOT NULL,
    header INTEGER,
    header_skipped INTEGER NOT NULL,
    total INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    errors TEXT NOT NULL,
    withdrawn INTEGER NOT NULL,
    failure TEXT,
    first_code INTEGER,
    last_code INTEGER
);

CREATE INDEX pv_uploads_list ON pv_uploads (list_id, id);
CREATE INDEX pv_uploads_running ON pv_uploads (id) WHERE status = 'In Progress';
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
