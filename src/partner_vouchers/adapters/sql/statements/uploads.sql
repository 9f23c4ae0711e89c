-- The upload log, with the original files and the refused rows.

-- upload_columns --
-- Part: an upload.
id, list_id, uploaded_by, filename, started_at, status, finished_at, size, sha256, encoding, header,
header_skipped, total, accepted, errors, withdrawn, failure, first_row, warnings

-- upload_rows --
-- Part: the uploads of lists that are not deleted; `Uploads.find` adds conditions and the order.
SELECT {upload_columns} FROM pv_uploads AS u
WHERE NOT EXISTS (SELECT 1 FROM pv_lists AS l WHERE l.id = u.list_id AND l.removed > 0)

-- of_upload --
-- Part: a condition that an upload exists and its list is not deleted.
EXISTS (SELECT 1 FROM pv_uploads AS u WHERE u.id = ?
        AND NOT EXISTS (SELECT 1 FROM pv_lists AS l WHERE l.id = u.list_id AND l.removed > 0))

-- upload_by_id --
{upload_rows} AND u.id = ?

-- running_uploads --
{upload_rows} AND u.status = 'In Progress' ORDER BY u.id

-- completed_upload_of_file --
-- The latest upload of the same bytes to a list.
{upload_rows} AND u.list_id = ? AND u.sha256 = ? AND u.status = 'Completed' ORDER BY u.id DESC LIMIT 1

-- add_upload --
INSERT INTO pv_uploads ({upload_columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- save_upload --
UPDATE pv_uploads
SET uploaded_by = ?, filename = ?, started_at = ?, status = ?, finished_at = ?, size = ?, sha256 = ?, encoding = ?,
    header = ?, header_skipped = ?, total = ?, accepted = ?, errors = ?, withdrawn = ?, failure = ?,
    first_row = ?, warnings = ?
WHERE id = ?

-- mark_withdrawn --
UPDATE pv_uploads SET is_withdrawn = true WHERE id = ? AND NOT is_withdrawn

-- count_withdrawn --
-- Counts codes of a list as withdrawn.
UPDATE pv_stock SET withdrawn = withdrawn + ? WHERE list_id = ?
