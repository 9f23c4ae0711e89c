"""Many processes ask a campaign with a limit, and a confirmation meets the run-out of its reservation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers import Limit, PartnerVouchers, PerPartner
from partner_vouchers.errors import CodesExhausted, LimitReached, ReservationExpired
from tests.concurrency.state import checked, codes_like, new_list
from tests.concurrency.teams import Line, in_processes
from tests.concurrency.work import open_library
from tests.support.places import Place, SharedStorage, opened


def ask(_line: Line, place: Place, users: Sequence[str]) -> list[str]:
    """Ask for codes, now at once and now by a reservation; return the users who got one."""
    served: list[str] = []
    storage, vouchers = open_library(place)
    with closing(storage):
        for number, user_id in enumerate(users):
            with suppress(LimitReached):
                if number % 2:
                    made = vouchers.codes.reserve(campaign_id="CMP1", user_id=user_id, ttl=timedelta(hours=1))
                    vouchers.codes.confirm(made.id)
                else:
                    vouchers.codes.assign(campaign_id="CMP1", user_id=user_id)
                served.append(user_id)
    return served


@pytest.mark.parametrize("limit", [25, pytest.param(1_000, marks=pytest.mark.deep)])
def test_a_limit_is_met_exactly_by_eight_processes(
    limit: int, shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    list_id = new_list(shared, "sale", codes_like("PM", 2 * limit))
    shared.campaigns.link(list_id, "CMP1")
    shared.campaigns.set_limits("CMP1", [Limit(limit, per="campaign")])
    share = 2 * limit // 8 + 1
    jobs = [(place, [f"user-{number}-{index}" for index in range(share)]) for number in range(8)]
    served = [user for answers in in_processes(ask, jobs) for user in answers]
    assert len(served) == limit
    assert len(checked(shared, shared_storage, list_id).given) == limit


def race(
    _line: Line, place: Place, what: str, list_id: str, reservation_id: str, end: datetime
) -> str | None:
    """Confirm a reservation just before its end, or ask for its code just after it; return who then has the code."""
    now = end - timedelta(microseconds=1) if what == "confirm" else end
    with closing(opened(place)) as storage:
        codes = PartnerVouchers(storage, duplicates=PerPartner(), clock=lambda: now).codes
        try:
            if what == "confirm":
                return codes.confirm(reservation_id).user_id
            return codes.assign(list_id=list_id, user_id=what).user_id
        except (ReservationExpired, CodesExhausted):
            return None


@pytest.mark.parametrize("rounds", [3, pytest.param(30, marks=pytest.mark.deep)])
def test_when_a_confirmation_meets_the_run_out_one_owner_comes_out(
    rounds: int, shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    for number in range(rounds):
        list_id = new_list(shared, f"sale{number}", [f"PM{number}"])
        ours = shared.codes.reserve(list_id=list_id, user_id="ann", ttl=timedelta(hours=1))
        assert ours.expires_at is not None
        end = ours.expires_at.astimezone(UTC)
        jobs = [(place, what, list_id, ours.id, end) for what in ("confirm", "ben", "cleo")]
        owners = [owner for owner in in_processes(race, jobs) if owner is not None]
        assert len(owners) == 1
        assert [each.user_id for each in checked(shared, shared_storage, list_id).given] == owners
