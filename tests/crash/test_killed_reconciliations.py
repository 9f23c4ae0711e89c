"""Processes that are killed while they reconcile a file: uploading it again finishes it, and nothing happens twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.domain.events import CodeRedeemed, CodeRedeemedUndistributed
from partner_vouchers.domain.reconciliation import RowKind
from partner_vouchers.testing.driver import outbox
from tests.concurrency.state import codes_like, new_list
from tests.crash.victims import Victim
from tests.support.places import Place, opened

ROWS, IN_A_TRANSACTION = 600, 25


def kill_reconciliations(place: Place, directory: Path, seed: int, kills: int) -> None:
    """Kill a reconciliation again and again, then let it come to its end."""
    print("seed", seed)
    chance = random.Random(seed)
    storage = opened(place, synchronous="FULL")
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    codes = codes_like("PM", ROWS)
    list_id = new_list(vouchers, "sale", codes)
    vouchers.codes.assign_many([f"user-{number}" for number in range(ROWS - 50)], list_id=list_id)
    rows = [f"{code},order-{code}" for code in codes] + ["no such code,order-1", ",order-2"]
    chance.shuffle(rows)
    file = directory / "used.csv"
    file.write_text("\n".join(["code,order_id", *rows]))
    for _ in range(kills):
        with Victim("reconcile", place, list_id, file, IN_A_TRANSACTION) as victim:
            victim.hears(1 + chance.randint(0, 6))
            victim.kill()
    with Victim("reconcile", place, list_id, file, IN_A_TRANSACTION) as victim:
        [*_, (_, report_id)] = victim.until("done")
    report = vouchers.redemptions.report(report_id, limit=1000)
    assert report.counts == {
        RowKind.RECORDED: ROWS - 50,
        RowKind.NEVER_DISTRIBUTED: 50,
        RowKind.UNKNOWN_CODE: 1,
        RowKind.MALFORMED: 1,
    }
    assert [row.line for row in report.rows] == list(range(2, ROWS + 4))
    assert report.finished_at is not None
    assert all(each.redeemed_at is not None for each in vouchers.codes.assignments(list_id))
    events = [entry.event for entry in outbox(storage)]
    redeemed = [event.assignment_id for event in events if isinstance(event, CodeRedeemed)]
    assert len(redeemed) == len(set(redeemed)) == ROWS - 50
    assert sum(isinstance(event, CodeRedeemedUndistributed) for event in events) == 50
    shown = vouchers.lists.get(list_id)
    assert (shown.available, shown.distributed) == (0, ROWS - 50)
    storage.close()


def test_a_killed_reconciliation_is_finished_by_uploading_again(place: Place, tmp_path: Path) -> None:
    kill_reconciliations(place, tmp_path, seed=20261128, kills=3)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_change_nothing(place: Place, tmp_path: Path, seed: int) -> None:
    kill_reconciliations(place, tmp_path, seed, kills=12)
