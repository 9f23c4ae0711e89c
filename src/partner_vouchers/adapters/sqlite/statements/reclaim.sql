-- What clears away abandoned uploads and deleted lists in SQLite.

-- delete_piece_of_incomplete_file --
-- Deletes one piece of a file that was not stored whole.
DELETE FROM pv_upload_pieces WHERE id IN (
    SELECT p.id FROM pv_uploads AS u CROSS JOIN pv_upload_pieces AS p
    WHERE u.id = ? AND u.sha256 IS NULL AND p.id >= u.id << 20 AND p.id < (u.id + 1) << 20 LIMIT 1)

-- forget_range_of_failed_upload --
-- Notes that the codes of a failed upload are cleared away.
UPDATE pv_uploads SET first_code = NULL, last_code = NULL WHERE id = ? AND status = 'Failed'

-- failed_uploads_with_codes --
SELECT id FROM pv_uploads WHERE status = 'Failed' AND first_code IS NOT NULL ORDER BY id

-- delete_unpublished_codes --
-- Deletes codes of an upload that is not completed.
DELETE FROM pv_codes WHERE id IN (
    SELECT c.id FROM pv_uploads AS u CROSS JOIN pv_codes AS c
    WHERE u.id = ? AND u.status <> 'Completed' AND c.id BETWEEN u.first_code AND u.last_code LIMIT ?)

-- delete_entry --
-- Deletes the entry of a code in the index, unless another list has taken it over.
DELETE FROM pv_active_codes WHERE scope_id = ? AND code = ? AND code_id = ?

-- delete_codes_up_to --
DELETE FROM pv_codes WHERE id IN (SELECT id FROM pv_codes WHERE id > ? AND id <= ? LIMIT ?)

-- delete_faults_of_list --
DELETE FROM pv_upload_faults WHERE id IN (
    SELECT f.id FROM pv_uploads AS u CROSS JOIN pv_upload_faults AS f
    WHERE u.list_id = ? AND f.id >= u.id << 32 AND f.id < (u.id + 1) << 32 LIMIT ?)

-- delete_piece_of_list --
-- Deletes one piece of a file of a list.
DELETE FROM pv_upload_pieces WHERE id IN (
    SELECT p.id FROM pv_uploads AS u CROSS JOIN pv_upload_pieces AS p
    WHERE u.list_id = ? AND p.id >= u.id << 20 AND p.id < (u.id + 1) << 20 LIMIT 1)

-- delete_dead_ranges_of_list --
DELETE FROM pv_dead_ranges WHERE first > ?1 << 32 AND first < (?1 + 1) << 32

-- delete_returned_of_list --
DELETE FROM pv_returned WHERE code_id > ?1 << 32 AND code_id < (?1 + 1) << 32
