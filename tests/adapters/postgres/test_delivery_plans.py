"""The statements of delivery keep to their indexes, with and without statistics."""

from __future__ import annotations

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.names import STATEMENTS
from tests.support.host import START
from tests.support.many_deferred import defer_many

LOOKUPS = {
    "due": ("crm", 2**60, 1000),
    "first_of_keys": ("crm", '["list:7", "list:8"]'),
    "has_deferred": ("crm",),
    "deferred_at": ("[5, 6]", "crm"),
    "dead_letters_after": ("crm", 5, 50),
    "dead_letters_with_ids": ('["event-5"]', "crm"),
    "events_after": (5, 1000),
    "events_at": ("[5, 6]",),
}


def test_no_lookup_reads_a_table_from_end_to_end(storage: PostgresStorage) -> None:
    defer_many(storage, 6000, retry_at=START)
    with storage.begin() as tx:
        bad = []
        for _ in range(2):
            for name, values in LOOKUPS.items():
                plan = [row[0] for row in tx.session.fetch(f"EXPLAIN {STATEMENTS[name]}", *values)]
                if any("Seq Scan" in step for step in plan):
                    bad.append((name, plan))
            for table in ("pv_deferred", "pv_events"):
                tx.session.execute(f"ANALYZE {table}")
    assert bad == []
