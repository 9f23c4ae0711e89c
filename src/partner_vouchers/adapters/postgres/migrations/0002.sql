-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before integer NOT NULL DEFAULT 0;

-- What a page asks about a file of codes. `first_row` is a JSON string; `warnings` a JSON object of counts by kind.
ALTER TABLE pv_uploads ADD COLUMN first_row text, ADD COLUMN warnings text NOT NULL DEFAULT '{}';

-- `retired`: codes that were revoked and are never given again. `emptied`: no code with an id up to this is left.
ALTER TABLE pv_stock ADD COLUMN retired integer NOT NULL DEFAULT 0, ADD COLUMN emptied bigint NOT NULL DEFAULT 0;
UPDATE pv_stock SET emptied = list_id << 32;
