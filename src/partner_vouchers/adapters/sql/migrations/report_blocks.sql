-- The rows of reports, many of one kind in each: id = report id << 32 | the first of their lines. `cells`: a JSON list of
-- their columns.
CREATE TABLE pv_report_blocks (
    id bigint PRIMARY KEY,
    last_line bigint NOT NULL,
    kind text NOT NULL,
    cells text NOT NULL
);
