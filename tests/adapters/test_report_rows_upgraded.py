"""The rows of reports, which version 3 of the tables kept one by one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.reconciliation import ReconciledRow, RowKind
from tests.support.host import FixedClock, Host
from tests.support.postgres import server

OLD_TABLE = (
    "CREATE TABLE pv_report_rows "
    "(id bigint PRIMARY KEY, kind text NOT NULL, cells text NOT NULL, code_id bigint, fault text)"
)
FILE = "code,redeemed_at,order_id,amount\n" + "\n".join(
    [
        "ANNS,2026-11-01,o1,1.50",
        "ANNS,2026-11-01,o1,1.50",
        "ANNS,2026-11-01,o2,1.50",
        "BOBS,,,",
        "FREE,,o4,",
        'BAD,"when, then",o5,-1',
        *(f"NONE{number},2026-11-01T10:00:00Z,Größe {number} 😀,{number}" for number in range(2_300)),
    ]
)


def everything(host: Host) -> tuple[Sequence[ReconciledRow], bytes]:
    rows = host.vouchers.redemptions.report("1", kinds=list(RowKind), limit=1_000).rows
    return rows, host.vouchers.redemptions.error_file("1", raw=True).read()


def reconciled(host: Host) -> tuple[Sequence[ReconciledRow], bytes]:
    host.clock.advance(days=1)
    list_id = host.a_list("ANNS", "BOBS", "FREE").id
    host.give(list_id, "ann", "bob")
    host.vouchers.redemptions.upload(
        BytesIO(FILE.encode()), list_id=list_id, uploaded_by="ops", filename="used.csv"
    )
    found = everything(host)
    assert {row.kind for row in found[0]} > {RowKind.RECORDED, RowKind.KNOWN_ALREADY, RowKind.MALFORMED}
    return found


def take_back(connection: Any, mark: str) -> None:
    """Keep the rows of the report as version 3 of the tables did."""
    connection.execute(OLD_TABLE)
    for block_id, kind, cells in connection.execute(
        "SELECT id, kind, cells FROM pv_report_blocks"
    ).fetchall():
        for line, code_id, *others in zip(*json.loads(cells), strict=True):
            row = (block_id >> 32 << 32) + line, kind, "", code_id, None
            if others:
                fault, *texts = others
                row = (*row[:2], json.dumps(texts), None if code_id is None else int(code_id), fault)
            connection.execute(f"INSERT INTO pv_report_rows VALUES ({', '.join([mark] * 5)})", row)
    connection.execute("DROP TABLE pv_report_blocks")
    connection.execute("UPDATE pv_settings SET value = '3' WHERE name = 'schema version'")
    connection.commit()


def test_they_are_kept_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.db"
    with closing(SQLiteStorage(path)) as storage:
        before = reconciled(Host(storage, FixedClock()))
    with closing(sqlite3.connect(path)) as connection:
        # Version 5 drops them.
        for column in ("state TEXT NOT NULL DEFAULT 'Open'", "ended_at INTEGER"):
            connection.execute(f"ALTER TABLE pv_reservations ADD COLUMN {column}")
        take_back(connection, "?")
    with closing(SQLiteStorage(path)) as storage:
        assert everything(Host(storage, FixedClock())) == before


def test_they_are_kept_on_postgres() -> None:
    with closing(PostgresStorage(server().conninfo, schema="old_reports")) as storage:
        storage.migrate()
        before = reconciled(Host(storage, FixedClock()))
    with psycopg.connect(server().conninfo, options="-c search_path=old_reports") as connection:
        take_back(connection, "%s")
    with closing(PostgresStorage(server().conninfo, schema="old_reports")) as storage:
        storage.migrate()
        assert everything(Host(storage, FixedClock())) == before
    with psycopg.connect(server().conninfo) as connection:
        connection.execute("DROP SCHEMA old_reports CASCADE")
