"""Tables that were copied to another server, whose transactions have other numbers.

Rows of the outbox are ordered by the numbers of the transactions that wrote them. Where those of the server are
lower than the ones in the tables, what was copied would seem to be written by transactions to come, and what is
written from now on would seem to be delivered already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.errors import not_migrated
from partner_vouchers.adapters.postgres.journal import ID_BITS, POSITION

# What is visible was written by a transaction that has ended, or by this one.
_IS_MOVED = f"""
    SELECT EXISTS (
        SELECT 1 FROM (
            (SELECT xid::text::numeric AS xid FROM pv_outbox
             WHERE xid IS DISTINCT FROM pg_current_xact_id_if_assigned() ORDER BY pv_outbox.xid DESC LIMIT 1)
            UNION ALL SELECT div(max(position), {2**ID_BITS}) FROM pv_progress
        ) AS known WHERE known.xid >= pg_snapshot_xmax(pg_current_snapshot())::text::numeric)
"""

_LANE = f"""
    SELECT o.id, {POSITION} <= p.position OR {POSITION} = ANY (%s::text[]::numeric[])
    FROM pv_outbox AS o JOIN pv_progress AS p ON p.lane = o.lane
    WHERE p.sink = %s AND p.lane = %s ORDER BY o.id
"""

# With logical replication the sequences stay behind. None may give a number a second time.
_CATCH_UP = """
    SELECT setval(sequence, newest) FROM (
        SELECT pg_get_serial_sequence(%s, 'id')::regclass AS sequence, (
            SELECT max(id) FROM (
                SELECT max(id) AS id FROM pv_outbox UNION ALL SELECT max(mod(position, %s))::bigint FROM pv_progress
            ) AS ids) AS newest
    ) AS s WHERE newest > coalesce(pg_sequence_last_value(sequence), 0)
"""


def require_here(session: Session) -> None:
    """Check that the transactions of the server go on from those in the tables.

    Raises:
        StorageNotMigrated: the tables were copied from another server.
    """
    if _is_moved(session):
        raise not_migrated(
            "the tables were copied from another server, whose transactions have greater numbers"
        )


def settle_in(session: Session) -> None:
    """Renumber what the tables say of transactions, if they were copied from another server.

    All rows become rows of transaction 0, which is before every other, in the order of their ids: those follow one
    another wherever one transaction saw what the other did. The ids stay, since receivers know events by them.
    """
    if not _is_moved(session):
        return
    session.execute("LOCK TABLE pv_outbox, pv_progress, pv_held IN SHARE ROW EXCLUSIVE MODE")
    session.execute(_CATCH_UP, (session.names.table("outbox"), 2**ID_BITS))
    progress = session.execute("SELECT sink, lane, position, ahead FROM pv_progress").fetchall()
    for sink, lane, position, ahead in progress:
        rows = session.execute(_LANE, ([str(each) for each in json.loads(ahead)], sink, lane)).fetchall()
        moved = _progress(rows, int(position) % 2**ID_BITS)
        session.execute(
            "UPDATE pv_progress SET position = %s, ahead = %s WHERE sink = %s AND lane = %s",
            (*moved, sink, lane),
        )
    session.execute("UPDATE pv_held SET position = mod(position, %s)", (2**ID_BITS,))
    session.execute("UPDATE pv_outbox SET xid = '0'")


def _progress(rows: Iterable[tuple[Any, ...]], last: int) -> tuple[int, str]:
    """Return up to which id the rows of a lane are settled, and those beyond it that are."""
    ids = {int(row[0]): bool(row[1]) for row in rows}
    first_open = min((id_ for id_, settled in ids.items() if not settled), default=None)
    if first_open is None:
        return max([last, *ids]), "[]"
    return first_open - 1, json.dumps([id_ for id_, settled in ids.items() if settled and id_ > first_open])


def _is_moved(session: Session) -> bool:
    return bool(session.execute(_IS_MOVED).fetchall()[0][0])
