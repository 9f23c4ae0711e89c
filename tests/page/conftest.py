"""A page over a library with a partner, a list with codes, a campaign and a user in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.page import create_app
from tests.support.host import FixedClock
from tests.support.page import Person, Visitor

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CODES = b"code\nPM500-SECRET-AA\nPM500-SECRET-BB\nPM500-SECRET-CC\nbad code\n"


def limits(*filled: str) -> dict[str, str]:
    """Fill in the form of the limits: each `count/per/period/zone`."""
    fields = {"campaign_id": "CMP1", "before": ""}
    for number, limit in enumerate(filled):
        for name, value in zip(("count", "per", "period", "zone"), limit.split("/", 3), strict=True):
            fields[f"{name}_{number}"] = value
    return fields


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def vouchers(clock: FixedClock) -> PartnerVouchers:
    library = PartnerVouchers(MemoryStorage(), clock=clock)
    library.partners.add("Puma")
    winter = library.lists.create(
        partner="Puma",
        tag="winter",
        name="Winter Sale",
        description="₹500 off",
        expires_at=NOW + timedelta(days=90),
        actor="setup",
    )
    library.uploads.add(winter.id, CODES, filename="codes.csv", uploaded_by="setup")
    library.campaigns.link(winter.id, "CMP1", actor="setup")
    library.codes.assign(campaign_id="CMP1", user_id="user-1")
    return library


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def visitor(vouchers: PartnerVouchers, person: Person) -> Visitor:
    return Visitor(create_app(vouchers, authorize=person))
