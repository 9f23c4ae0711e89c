-- Delivery of events to sinks.

-- Which lane an event is delivered in. It has no index, which would cost each assignment a page more: a lane is
-- read by walking through the rows behind a position.
ALTER TABLE pv_outbox ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;

-- How far each sink has come. `ahead`: a JSON list of the positions beyond `position` that are settled too.
CREATE TABLE pv_progress (
    sink TEXT NOT NULL,
    lane INTEGER NOT NULL,
    position INTEGER NOT NULL,
    ahead TEXT NOT NULL,
    PRIMARY KEY (sink, lane)
) WITHOUT ROWID;

-- Events that a sink has not taken. `retry_at` is NULL for a dead letter.
CREATE TABLE pv_held (
    position INTEGER NOT NULL,
    sink TEXT NOT NULL,
    lane INTEGER NOT NULL,
    key TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (position, sink)
) WITHOUT ROWID;

CREATE INDEX pv_held_keys ON pv_held (sink, lane, key, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_due ON pv_held (sink, lane, retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_dead ON pv_held (sink, position) WHERE retry_at IS NULL;

-- Which lists expire next.
CREATE INDEX pv_lists_expires_at ON pv_lists (expires_at, id) WHERE removed = 0;
