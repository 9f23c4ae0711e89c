-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before INTEGER NOT NULL DEFAULT 0;

-- What a page asks about a file of codes. `first_row` is a JSON string; `warnings` a JSON object of counts by kind.
ALTER TABLE pv_uploads ADD COLUMN first_row TEXT;
ALTER TABLE pv_uploads ADD COLUMN warnings TEXT NOT NULL DEFAULT '{}';
