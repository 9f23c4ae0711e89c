-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before INTEGER NOT NULL DEFAULT 0;
