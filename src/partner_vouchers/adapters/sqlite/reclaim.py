"""Clear away the codes of broken-off uploads and of removed lists."""

from __future__ import annotations

from collections.abc import Callable

from partner_vouchers.adapters.sql.columns import first_code_id, to_number
from partner_vouchers.adapters.sqlite.slices import Begin, in_slices
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction

PIECE_BITS = 20
LINE_BITS = 32


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Delete the codes of an upload that was never published. Its range of ids stays dead for ever."""
    number = to_number(upload_id)

    def delete_codes(tx: SQLiteTransaction, rows: int) -> bool:
        return delete_unpublished(tx, number, rows)

    def delete_piece(tx: SQLiteTransaction, _rows: int) -> bool:
        deleted = tx.db.execute(
            f"""
            DELETE FROM pv_upload_pieces WHERE id IN (
                SELECT p.id FROM pv_uploads AS u
                JOIN pv_upload_pieces AS p ON p.id >= u.id << {PIECE_BITS} AND p.id < (u.id + 1) << {PIECE_BITS}
                WHERE u.id = ? AND u.sha256 IS NULL LIMIT 1)
            """,
            (number,),
        )
        return deleted.rowcount == 1

    in_slices(begin, delete_codes)
    in_slices(begin, delete_piece)
    with begin() as tx:
        tx.db.execute(
            "UPDATE pv_uploads SET first_code = NULL, last_code = NULL WHERE id = ? AND status = 'Failed'",
            (number,),
        )
        tx.commit()


def abandon_failed_uploads(begin: Begin) -> None:
    """Delete the codes of failed uploads whose process was killed before it could do so."""
    with begin() as tx:
        rows = tx.db.execute(
            "SELECT id FROM pv_uploads WHERE status = 'Failed' AND first_code IS NOT NULL ORDER BY id"
        ).fetchall()
    for (number,) in rows:
        abandon_upload(begin, str(number))


def delete_unpublished(tx: SQLiteTransaction, upload_number: int, rows: int) -> bool:
    """Delete up to `rows` codes of an upload that is not Completed; return whether there may be more."""
    deleted = tx.db.execute(
        """
        DELETE FROM pv_codes WHERE id IN (
            SELECT c.id FROM pv_uploads AS u JOIN pv_codes AS c ON c.id BETWEEN u.first_code AND u.last_code
            WHERE u.id = ? AND u.status <> 'Completed' LIMIT ?)
        """,
        (upload_number, rows),
    )
    return deleted.rowcount == rows


def reclaim_lists(begin: Begin) -> None:
    """Free the space of removed lists."""
    while True:
        with begin() as tx:
            row = tx.db.execute("SELECT id, scope_id FROM pv_lists WHERE removed = 1 LIMIT 1").fetchone()
        if row is None:
            return
        _reclaim_list(begin, *row)


def _reclaim_list(begin: Begin, number: int, scope_id: int) -> None:
    first, last = first_code_id(number), first_code_id(number + 1)

    def delete_codes(tx: SQLiteTransaction, rows: int) -> bool:
        found = tx.db.execute(
            "SELECT id, code FROM pv_codes WHERE id > ? AND id < ? ORDER BY id LIMIT ?", (first, last, rows)
        ).fetchall()
        tx.db.executemany(
            "DELETE FROM pv_active_codes WHERE scope_id = ? AND code = ? AND code_id = ?",
            [(scope_id, code, code_id) for code_id, code in found],
        )
        if found:
            tx.db.execute("DELETE FROM pv_codes WHERE id BETWEEN ? AND ?", (found[0][0], found[-1][0]))
        return len(found) == rows

    def delete_files(table: str, bits: int, share: int) -> Callable[[SQLiteTransaction, int], bool]:
        def delete(tx: SQLiteTransaction, rows: int) -> bool:
            limit = max(1, rows // share)
            deleted = tx.db.execute(
                f"""
                DELETE FROM {table} WHERE id IN (
                    SELECT p.id FROM pv_uploads AS u
                    JOIN {table} AS p ON p.id >= u.id << {bits} AND p.id < (u.id + 1) << {bits}
                    WHERE u.list_id = ? LIMIT ?)
                """,
                (number, limit),
            )
            return deleted.rowcount == limit

        return delete

    in_slices(begin, delete_codes)
    in_slices(begin, delete_files("pv_upload_faults", LINE_BITS, 1))
    # A piece of a file weighs as much as thousands of rows.
    in_slices(begin, delete_files("pv_upload_pieces", PIECE_BITS, 2_000))
    with begin() as tx:
        tx.db.execute("DELETE FROM pv_uploads WHERE list_id = ?", (number,))
        tx.db.execute("DELETE FROM pv_dead_ranges WHERE first > ? AND first < ?", (first, last))
        tx.db.execute("UPDATE pv_lists SET removed = 2 WHERE id = ?", (number,))
        tx.commit()
