-- Tables of the first schema that both databases share, with PostgreSQL's types. Instants are microseconds since 1970 in UTC.

-- How the storage was set up, and what it is.
CREATE TABLE pv_settings (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
) WITHOUT ROWID;

CREATE TABLE pv_partners (
    name text COLLATE "C" PRIMARY KEY,
    created_at bigint NOT NULL
) WITHOUT ROWID;

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
CREATE INDEX pv_lists_scope ON pv_lists (scope_id);
CREATE INDEX pv_lists_removed ON pv_lists (id) WHERE removed = 1;

-- What a list said at each version, so that an assignment can always tell its event.
CREATE TABLE pv_terms (
    list_id bigint NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (list_id, version)
) WITHOUT ROWID;

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

-- The codes: id = list id << 32 | position in the list; gaps are harmless. Those up to `pv_stock.published` can be taken,
-- those beyond belong to an upload that runs. SQLite keeps all of them, PostgreSQL those that nobody has.
CREATE TABLE pv_codes (
    id bigint PRIMARY KEY,
    code text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- The duplicate rule as a constraint. The scope leads the key, so that an upload touches one region of it.
-- An entry whose code nobody has any more (of an archived or removed list, withdrawn, or left behind by an upload) is
-- taken over by whoever uploads the code next.
CREATE TABLE pv_active_codes (
    scope_id bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    code_id bigint NOT NULL,
    PRIMARY KEY (scope_id, code)
) WITHOUT ROWID;

-- Codes that somebody has, but whose entry in pv_active_codes was taken over.
CREATE TABLE pv_superseded_codes (
    code text COLLATE "C" NOT NULL,
    code_id bigint NOT NULL,
    PRIMARY KEY (code, code_id)
) WITHOUT ROWID;

CREATE TABLE pv_idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    fingerprint text NOT NULL,
    code_ids text NOT NULL
) WITHOUT ROWID;

CREATE TABLE pv_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list_id bigint,
    actor text COLLATE "C",
    name text NOT NULL,
    payload text NOT NULL
);

-- `first_code` and `last_code` bound the ids that the codes of the upload can have.
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
