"""Many take codes at once: each stock level is told once, and the counters are exact."""

from __future__ import annotations

from collections import Counter
from functools import partial

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.domain.events import StockExhausted, StockLow
from partner_vouchers.testing.driver import outbox
from tests.concurrency.state import FAR, codes_like
from tests.concurrency.teams import in_threads
from tests.support.host import a_file


def test_whoever_takes_the_last_code_tells_also_when_many_do_at_once(storage: PostgresStorage) -> None:
    """Nobody is refused here, who could tell it later."""
    vouchers = PartnerVouchers(storage)
    vouchers.partners.add("Puma")
    made = vouchers.lists.create(partner="Puma", tag="sale", name="Sale", expires_at=FAR, low_stock_at=1)

    def ask(user: str) -> None:
        vouchers.codes.assign(list_id=made.id, user_id=user)

    for round_number in range(4):
        codes = codes_like(f"PM{round_number}", 6)
        vouchers.uploads.add(made.id, a_file(*codes), filename="a.csv", uploaded_by="ops")
        in_threads(storage, [partial(ask, f"user-{round_number}-{number}") for number in range(6)])
        told = Counter(type(entry.event) for entry in outbox(storage))
        assert (told[StockLow], told[StockExhausted]) == (round_number + 1, round_number + 1)


def test_the_parts_of_a_counter_are_added_up(storage: PostgresStorage) -> None:
    vouchers = PartnerVouchers(storage)
    vouchers.partners.add("Puma")
    made = vouchers.lists.create(partner="Puma", tag="sale", name="Sale", expires_at=FAR)
    vouchers.uploads.add(made.id, a_file(*codes_like("PM", 300)), filename="a.csv", uploaded_by="ops")
    with storage.begin() as tx:
        # As if a hundred connections had given out one code each.
        sql = "INSERT INTO pv_distributed SELECT %s, -g, 1 FROM generate_series(1, 100) AS g"
        tx.session.execute(sql, (int(made.id),))
        tx.session.execute("DELETE FROM pv_codes WHERE id <= (%s::bigint << 32) + 100", (int(made.id),))
        tx.commit()
    assert parts(storage) == 100
    assert vouchers.codes.assign(list_id=made.id, user_id="ann").code == "PM-000100"
    assert parts(storage) <= 2
    assert vouchers.lists.get(made.id).distributed == 101


def parts(storage: PostgresStorage) -> int:
    with storage.begin(write=False) as tx:
        assert isinstance(tx, PostgresTransaction)
        found: int = tx.session.execute("SELECT count(*) FROM pv_distributed").fetchall()[0][0]
        return found
