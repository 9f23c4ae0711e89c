-- What clears away abandoned uploads and deleted lists in PostgreSQL.

-- list_of_failed_upload --
SELECT list_id FROM pv_uploads WHERE id = ? AND status = 'Failed'

-- delete_pieces_of_incomplete_file --
DELETE FROM pv_upload_pieces WHERE upload_id = (SELECT id FROM pv_uploads WHERE id = ? AND sha256 IS NULL)

-- deleted_list --
SELECT id, scope_id FROM pv_lists WHERE removed = 1 LIMIT 1

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

-- delete_uploads_of_list --
DELETE FROM pv_uploads WHERE list_id = ?

-- delete_imports_of_list --
DELETE FROM pv_imports WHERE list_id = ?

-- delete_position_of_list --
DELETE FROM pv_positions WHERE list_id = ?

-- delete_level_of_list --
DELETE FROM pv_announced WHERE list_id = ?

-- delete_distributed_of_list --
DELETE FROM pv_distributed WHERE list_id = ?

-- delete_returned_of_list --
DELETE FROM pv_returned AS r USING (SELECT CAST(? AS bigint) AS number) AS l
WHERE r.code_id > l.number << 32 AND r.code_id < (l.number + 1) << 32

-- delete_reservations_of_list --
DELETE FROM pv_reservations WHERE list_id = ? AND state = 'Open'

-- delete_ended_reservations_of_list --
DELETE FROM pv_ended_reservations WHERE list_id = ?

-- mark_list_reclaimed --
UPDATE pv_lists SET removed = 2 WHERE id = ?
