-- What clears away abandoned uploads and deleted lists in PostgreSQL.

-- list_of_failed_upload --
SELECT list_id FROM pv_uploads WHERE id = ? AND status = 'Failed'

-- delete_pieces_of_incomplete_file --
DELETE FROM pv_upload_pieces WHERE upload_id = (SELECT id FROM pv_uploads WHERE id = ? AND sha256 IS NULL)

-- delete_codes_of_list --
-- Deletes codes between two ids, with those of their entries in the index that no other list has taken over.
WITH codes AS (
    DELETE FROM pv_codes WHERE id IN (SELECT id FROM pv_codes WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)
    RETURNING id, code
), entries AS (
    DELETE FROM pv_active_codes AS a USING codes AS c
    WHERE a.scope_id = ? AND a.code = c.code AND a.code_id = c.id
)
SELECT count(*) FROM codes

-- delete_pieces_of_list --
DELETE FROM pv_upload_pieces WHERE upload_id IN (SELECT id FROM pv_uploads WHERE list_id = ?)

-- delete_faults_of_list --
DELETE FROM pv_upload_faults WHERE upload_id IN (SELECT id FROM pv_uploads WHERE list_id = ?)
