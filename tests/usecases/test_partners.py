from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.events import PartnerAdded
from partner_vouchers.errors import (
    InvalidInput,
    InvalidPartnerName,
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


def test_upper_and_lower_case_make_two_partners(vouchers: PartnerVouchers) -> None:
    vouchers.partners.add("clevertap")
    vouchers.partners.add("CLEVERTAP")
    assert [partner.name for partner in vouchers.partners.all()] == ["CLEVERTAP", "clevertap"]
    with pytest.raises(UnknownPartner):
        vouchers.partners.get("CleverTap")


def test_a_second_partner_of_the_same_name_is_refused_by_name(host: Host) -> None:
    host.vouchers.partners.add("clevertap")
    with host.nothing_changes(), pytest.raises(PartnerExists, match="clevertap") as refused:
        host.vouchers.partners.add("clevertap")
    assert (refused.value.code, refused.value.name) == ("partner_exists", "clevertap")


@pytest.mark.parametrize(
    "name", ["₹ & Söhne", "a'b\"c; DROP TABLE pv_partners", " Puma ", "x" * 255, "😀", "%_"]
)
def test_any_name_is_kept_as_it_is(vouchers: PartnerVouchers, name: str) -> None:
    vouchers.partners.add(name)
    assert vouchers.partners.get(name).name == name


@pytest.mark.parametrize("name", ["", "   ", "Pu\nma", "Pu\0ma", "Pu\x85ma", "Pu\ud800ma", None, 7])
def test_a_name_that_breaks_the_rule_is_refused(host: Host, name: Any) -> None:
    with host.nothing_changes(), pytest.raises(InvalidPartnerName) as refused:
        host.vouchers.partners.add(name)
    assert (refused.value.code, refused.value.field) == ("invalid_partner_name", "name")


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


@pytest.mark.parametrize("actor", ["", " ", "a\nb", 3])
def test_an_actor_must_be_a_name(host: Host, actor: Any) -> None:
    with host.nothing_changes(), pytest.raises(InvalidInput, match="actor"):
        host.vouchers.partners.add("Puma", actor=actor)


def test_a_clock_without_time_zone_is_refused(storage: Storage) -> None:
    vouchers = PartnerVouchers(storage, clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the point of it
    with pytest.raises(NaiveDatetime, match=r"^clock: "):
        vouchers.partners.add("Puma")
    assert vouchers.partners.all() == []


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


def test_a_partner_to_ensure_has_a_valid_name(host: Host) -> None:
    for name in ("", "a\nb", "x" * 256):
        with host.nothing_changes(), pytest.raises(InvalidPartnerName):
            host.vouchers.partners.ensure(name)
