"""Statements that everybody sends keep to their indexes, with and without statistics."""

from __future__ import annotations

from typing import Any

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.importing import _SCOPE_IS_EMPTY
from partner_vouchers.adapters.postgres.names import STATEMENTS
from tests.support.host import START
from tests.support.many_deferred import defer_many

OF_DELIVERY = {
    "due": ("crm", 2**60, 1000),
    "first_of_keys": ("crm", '["list:7", "list:8"]'),
    "has_deferred": ("crm",),
    "deferred_at": ("[5, 6]", "crm"),
    "dead_letters_after": ("crm", 5, 50),
    "dead_letters_with_ids": ('["event-5"]', "crm"),
    "events_after": (5, 1000),
    "events_at": ("[5, 6]",),
}
OF_CODES: dict[str, tuple[Any, ...]] = {
    "assignments_of_user": ("user-5",),
    "assignments_of_code": ("CODE-5",),
    "assignments_by_ids": ("[8589934597]",),
    "count_unordered": (100,),
    _SCOPE_IS_EMPTY: ("none",),
}
MANY_CODES = """
    INSERT INTO pv_scopes (key) SELECT 'scope-' || g FROM generate_series(1, 2000) AS g;
    INSERT INTO pv_active_codes SELECT mod(g, 2) + 1, 'CODE-' || g, (2::bigint << 32) + g
    FROM generate_series(1, 20000) AS g;
    INSERT INTO pv_lists SELECT g, 'Puma', 'tag-' || g, '', '', 0, 'Active', NULL, 1, 0, 0, 1, 0, ''
    FROM generate_series(1, 20000) AS g;
    INSERT INTO pv_terms SELECT g, 1, '', '', 0 FROM generate_series(1, 20000) AS g;
    INSERT INTO pv_assignments
    SELECT (2::bigint << 32) + g, 'CODE-' || g, 'user-' || g, 'c:CMP', 0, 0, 1 FROM generate_series(1, 20000) AS g;
    INSERT INTO pv_outbox (code_id) SELECT (2::bigint << 32) + g FROM generate_series(1, 20000) AS g
"""


def scans(storage: PostgresStorage, lookups: dict[str, tuple[Any, ...]], *tables: str) -> list[Any]:
    """Return the plans that read a table from end to end, before and after tables are analyzed."""
    bad = []
    with storage.begin() as tx:
        for _ in range(2):
            for name, values in lookups.items():
                plan = [row[0] for row in tx.session.fetch(f"EXPLAIN {STATEMENTS.get(name, name)}", *values)]
                if any("Seq Scan" in step for step in plan):
                    bad.append((name, plan))
            for table in tables:
                tx.session.execute(f"ANALYZE {table}")
    return bad


def test_no_lookup_of_delivery_reads_a_table_from_end_to_end(storage: PostgresStorage) -> None:
    defer_many(storage, 6000, retry_at=START)
    assert scans(storage, OF_DELIVERY, "pv_deferred", "pv_events") == []


def test_no_lookup_of_codes_reads_a_table_from_end_to_end(storage: PostgresStorage) -> None:
    with storage.begin() as tx:
        for statement in MANY_CODES.split(";"):
            tx.session.execute(statement)
        tx.commit()
    tables = "pv_active_codes", "pv_lists", "pv_terms", "pv_assignments", "pv_outbox", "pv_scopes"
    assert scans(storage, OF_CODES, *tables) == []
