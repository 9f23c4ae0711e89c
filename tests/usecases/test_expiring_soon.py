"""A list tells in time that it expires soon: once for each expiry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from partner_vouchers.domain.events import ListExpiringSoon
from partner_vouchers.sinks.memory import MemorySink
from tests.support.host import EXPIRY, FixedClock, Host

WEEK = timedelta(days=7)


def told(host: Host) -> int:
    host.vouchers.events.deliver(MemorySink())
    return len(host.events(ListExpiringSoon))


def test_it_is_told_once_for_each_expiry(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A").id
    assert host.vouchers.lists.edit(winter, expiring_soon=WEEK).expiring_soon == WEEK
    clock.now = EXPIRY - WEEK - timedelta(microseconds=1)
    assert told(host) == 0
    clock.now = EXPIRY - WEEK
    assert told(host) == 1
    [event] = host.events(ListExpiringSoon)
    assert (event.list_id, event.expires_at, event.occurred_at) == (winter, EXPIRY, EXPIRY - WEEK)
    clock.advance(days=1)
    host.vouchers.lists.edit(winter, expiring_soon=2 * WEEK, name="New")
    assert told(host) == 1
    host.vouchers.lists.edit(winter, expires_at=EXPIRY + 4 * WEEK)
    assert told(host) == 1
    clock.advance(days=21)
    assert told(host) == 2


@pytest.mark.parametrize("kind", ["none", "archived", "expired", "cleared"])
def test_it_is_not_told(host: Host, clock: FixedClock, kind: str) -> None:
    winter = host.a_list("A").id
    if kind != "none":
        host.vouchers.lists.edit(winter, expiring_soon=WEEK)
    if kind == "cleared":
        host.vouchers.lists.edit(winter, expiring_soon=None)
    if kind == "archived":
        host.vouchers.lists.archive(winter)
    clock.now = EXPIRY + timedelta(seconds=1) if kind == "expired" else EXPIRY
    assert told(host) == 0
