"""Whatever became of the codes of a list, a withdrawal takes back exactly those that are left of its upload."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from partner_vouchers.errors import CodesExhausted
from tests.support.host import FixedClock, Host

HOUR = timedelta(hours=1)


@pytest.mark.every_storage
@pytest.mark.parametrize("seed", range(2))
def test_the_counters_are_those_of_the_codes_that_are_left(host: Host, seed: int) -> None:
    chance, codes, uploads = Random(seed), host.vouchers.codes, list[str]()
    found = host.a_list()
    for step in range(24):
        user = f"user-{step}"
        try:
            match chance.choice(
                ("upload", "upload", "assign", "assign", "release", "restock", "leak", "withdraw")
            ):
                case "upload":
                    rows = [f"S{step:02}N{number}" for number in range(chance.randint(1, 6))]
                    uploads.append(host.upload(found.id, *rows, rows[0]).id)
                case "assign":
                    codes.assign_many(
                        [f"{user}-{number}" for number in range(3)], list_id=found.id, partial=True
                    )
                case "release":
                    codes.release(codes.reserve(list_id=found.id, user_id=user, ttl=HOUR).id)
                case "restock":
                    codes.revoke(codes.assign(list_id=found.id, user_id=user).id, restock=True, force=True)
                case "leak":
                    left = host.left(found.id) or ["none"]
                    file = "\n".join(["code", *chance.sample(left, min(len(left), 2))])
                    host.vouchers.redemptions.upload(
                        file.encode(), list_id=found.id, filename=f"{step}.csv", uploaded_by="ops"
                    )
                case _ if uploads:
                    host.vouchers.uploads.withdraw(uploads.pop(chance.randrange(len(uploads))))
        except CodesExhausted:
            pass
        seen = host.vouchers.lists.get(found.id)
        assert seen.available == len(host.left(found.id))
        assert seen.uploaded == seen.available + seen.distributed + seen.withdrawn + seen.retired


@pytest.mark.every_storage
def test_a_code_whose_reservation_ran_out_after_the_withdrawal_is_no_duplicate(
    host: Host, clock: FixedClock
) -> None:
    found = host.a_list()
    wrong = host.upload(found.id, "A", "B")
    host.vouchers.codes.reserve(list_id=found.id, user_id="ann", ttl=HOUR)
    host.vouchers.codes.reserve(list_id=found.id, user_id="ben", ttl=2 * HOUR)
    host.vouchers.uploads.withdraw(wrong.id)
    clock.advance(hours=1)
    checked = host.vouchers.uploads.validate(found.id, b"A\nB\nC\n", filename="codes.csv")
    assert checked.acceptable == 2
    assert host.upload(found.id, "A", "B", "C").accepted == 2
    assert host.left(found.id) == ["A", "C"]
