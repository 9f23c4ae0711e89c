"""Clear away the codes of broken-off uploads and of removed lists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.liveness import is_dead
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.adapters.sql.columns import first_code_id, last_code_id, to_number

Begin = Callable[[], AbstractContextManager[PostgresTransaction]]

_SLICE = 20_000


def abandon_upload(begin: Begin, upload_id: str) -> None:
    """Clear away what an upload that failed left behind."""
    number = to_number(upload_id)
    with begin() as tx:
        rows = tx.session.execute(
            "SELECT list_id FROM pv_uploads WHERE id = %s AND status = 'Failed'", (number,)
        ).fetchall()
        if not rows:
            return
        tx.session.lock("import", str(rows[0][0]))
        delete_unpublished(tx.session, rows[0][0], only_dead=True)
        tx.session.execute(
            "DELETE FROM pv_upload_pieces WHERE upload_id = "
            "(SELECT id FROM pv_uploads WHERE id = %s AND sha256 IS NULL)",
            (number,),
        )
        tx.commit()


def abandon_dead_imports(begin: Begin) -> None:
    """Delete the codes of imports whose connection has ended before they were published."""
    with begin() as tx:
        sql = f"SELECT DISTINCT list_id FROM pv_imports AS i WHERE {is_dead('i.importer')}"
        rows = tx.session.execute(sql).fetchall()
    for (number,) in rows:
        with begin() as tx:
            tx.session.lock("import", str(number))
            delete_unpublished(tx.session, number, only_dead=True)
            tx.commit()


def delete_unpublished(db: Session, list_number: int, *, only_dead: bool = False) -> None:
    """Delete what imports into a list brought in and did not publish. The entries of these codes can be taken over."""
    condition = f" AND {is_dead('i.importer')}" if only_dead else ""
    sql = f"DELETE FROM pv_imports AS i WHERE i.list_id = %s{condition} RETURNING first_code, last_code"
    for first, last in db.execute(sql, (list_number,)).fetchall():
        db.execute("DELETE FROM pv_codes WHERE id BETWEEN %s AND %s", (first, last))


def reclaim_lists(begin: Begin) -> None:
    """Free the space of removed lists."""
    while True:
        with begin() as tx:
            rows = tx.session.execute(
                "SELECT id, scope_id FROM pv_lists WHERE removed = 1 LIMIT 1"
            ).fetchall()
        if not rows:
            return
        _reclaim_list(begin, *rows[0])


def _reclaim_list(begin: Begin, number: int, scope_id: int) -> None:
    first, last = first_code_id(number), last_code_id(number)
    rows = _SLICE
    while rows == _SLICE:
        with begin() as tx:
            tx.session.lock("import", str(number))
            rows = tx.session.execute(
                """
                WITH codes AS (
                    DELETE FROM pv_codes WHERE id IN (
                        SELECT id FROM pv_codes WHERE id BETWEEN %s AND %s ORDER BY id LIMIT %s)
                    RETURNING id, code
                ), entries AS (
                    DELETE FROM pv_active_codes AS a USING codes AS c
                    WHERE a.scope_id = %s AND a.code = c.code AND a.code_id = c.id
                )
                SELECT count(*) FROM codes
                """,
                (first, last, _SLICE, scope_id),
            ).fetchall()[0][0]
            tx.commit()
    with begin() as tx:
        for table in ("pv_upload_pieces", "pv_upload_faults"):
            sql = f"DELETE FROM {table} WHERE upload_id IN (SELECT id FROM pv_uploads WHERE list_id = %s)"
            tx.session.execute(sql, (number,))
        tx.session.execute("DELETE FROM pv_uploads WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_imports WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_positions WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_announced WHERE list_id = %s", (number,))
        tx.session.execute("DELETE FROM pv_distributed WHERE list_id = %s", (number,))
        tx.session.execute("UPDATE pv_lists SET removed = 2 WHERE id = %s", (number,))
        tx.commit()
