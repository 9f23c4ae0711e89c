from __future__ import annotations

from datetime import UTC, datetime

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.events import PartnerAdded
from partner_vouchers.errors import (
    InvalidInput,
    NaiveDatetime,
    PartnerExists,
    UnknownPartner,
)
from partner_vouchers.ports import Storage
from tests.support.host import START, Host


def test_an_added_partner_can_be_looked_up(vouchers: PartnerVouchers) -> None:
    added = vouchers.partners.add("Puma")
    assert (added.name, added.created_at) == ("Puma", START)
    assert vouchers.partners.get("Puma") == added
    assert vouchers.partners.all() == [added]


def test_a_second_partner_of_the_same_name_is_refused_by_name(host: Host) -> None:
    host.vouchers.partners.add("clevertap")
    with host.nothing_changes(), pytest.raises(PartnerExists, match="clevertap") as refused:
        host.vouchers.partners.add("clevertap")
    assert (refused.value.code, refused.value.name) == ("partner_exists", "clevertap")


def test_an_unknown_partner_is_named(vouchers: PartnerVouchers) -> None:
    with pytest.raises(UnknownPartner, match=r"partners\.add\('Nike'\)") as unknown:
        vouchers.partners.get("Nike")
    assert (unknown.value.code, unknown.value.name) == ("unknown_partner", "Nike")


def test_adding_a_partner_is_an_event(host: Host) -> None:
    host.vouchers.partners.add("Puma", actor="ops@example.com")
    (event,) = host.events(PartnerAdded)
    assert (event.occurred_at, event.list_id) == (START, None)
    assert [(change.field, change.before, change.after) for change in event.changes] == [
        ("partner", None, "Puma")
    ]


def test_a_clock_without_time_zone_is_refused(storage: Storage) -> None:
    vouchers = PartnerVouchers(storage, clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the point of it
    with pytest.raises(NaiveDatetime, match=r"^clock: "):
        vouchers.partners.add("Puma")
    assert vouchers.partners.all() == []


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_a_clock_at_the_ends_of_time_is_refused(storage: Storage, year: int) -> None:
    vouchers = PartnerVouchers(storage, clock=lambda: datetime(year, 6, 1, tzinfo=UTC))
    with pytest.raises(InvalidInput, match=r"^clock: must lie within the years 1970 to 9998"):
        vouchers.partners.add("Puma")


# --- ensure ------------------------------------------------------------------------------------------------------


def test_a_partner_that_is_ensured_is_added_once(host: Host) -> None:
    first = host.vouchers.partners.ensure("Puma", actor="deploy")
    host.clock.advance(days=1)
    with host.nothing_changes():
        assert host.vouchers.partners.ensure("Puma", actor="deploy") == first
    assert host.vouchers.partners.ensure("PUMA") != first
    assert [each.name for each in host.vouchers.partners.all()] == ["PUMA", "Puma"]
    assert [(entry.event.event_name, entry.actor) for entry in host.vouchers.audit.entries()] == [
        ("partner.added", "deploy"),
        ("partner.added", None),
    ]
