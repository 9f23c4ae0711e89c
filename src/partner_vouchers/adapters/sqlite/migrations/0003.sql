-- How many codes of a list were used before the latest upload: a percentage used counts from there.
ALTER TABLE pv_lists ADD COLUMN used_before INTEGER NOT NULL DEFAULT 0;

-- What a page asks about a file of codes. `first_row` is a JSON string; `warnings` a JSON object of counts by kind.
ALTER TABLE pv_uploads ADD COLUMN first_row TEXT;
ALTER TABLE pv_uploads ADD COLUMN warnings TEXT NOT NULL DEFAULT '{}';

-- Codes that were revoked and are never given again.
ALTER TABLE pv_stock ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;

-- What is remembered of the lists of a campaign is out of date whenever a list or a link changes.
CREATE TRIGGER pv_lists_changed AFTER UPDATE ON pv_lists BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_added AFTER INSERT ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_changed AFTER UPDATE ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
CREATE TRIGGER pv_links_removed AFTER DELETE ON pv_links BEGIN
    UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = 'catalog token';
END;
