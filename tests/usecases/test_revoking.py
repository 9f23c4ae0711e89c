"""Take codes back: what becomes of the code, the event, the counters and the user."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import RepeatPolicy, Status
from partner_vouchers.domain.events import CodeRevoked
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import (
    AlreadyRevoked,
    AssignmentRevoked,
    CodeMayBeKnown,
    CodesExhausted,
    ListDistributed,
    RestockNotAllowed,
)
from partner_vouchers.sinks.memory import MemorySink
from tests.support.host import FixedClock, Host


def counts(host: Host, list_id: str) -> Counts:
    found = host.vouchers.lists.stock(list_id).counts
    assert found.uploaded == (
        found.available + found.reserved + found.distributed + found.withdrawn + found.retired
    )
    return found


def known_sink(host: Host, name: str = "crm") -> MemorySink:
    """Make a sink known that has taken everything so far."""
    sink = MemorySink(name=name)
    host.vouchers.events.deliver(sink)
    return sink


def codes_sent(sink: MemorySink) -> list[str]:
    return [entry.event.voucher_code for entry in sink.entries if isinstance(entry.event, VoucherRewarded)]


def test_a_revoked_code_is_retired_and_stays_on_record(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A", "B", campaign="CMP").id
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="user-1")
    clock.advance(hours=1)
    made = host.vouchers.codes.revoke(reward.id, reason="order cancelled", actor="asha@example.com")
    assert (made.revoked_at, made.actor, made.reason, made.restocked) == (
        clock.now,
        "asha@example.com",
        "order cancelled",
        False,
    )
    assert counts(host, winter) == Counts(uploaded=2, retired=1)
    codes = host.vouchers.codes
    assert codes.of_user("user-1") == []
    assert [each.revoked_at for each in codes.of_user("user-1", revoked=True)] == [clock.now]
    assert [each.revoked_at for each in codes.holders("A")] == [clock.now]
    assert [each.revoked_at for each in codes.assignments(winter)] == [clock.now]
    header, row = codes.export(winter).read().decode("utf-8-sig").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["revoked_at"] == clock.now.isoformat()
    [event] = host.events(CodeRevoked)
    assert (event.assignment_id, event.list_id, event.campaign_id, event.user_id) == (
        reward.id,
        winter,
        "CMP",
        "user-1",
    )
    assert event.masked_code == "…"
    audited = host.vouchers.audit.entries(actor="asha@example.com").items[-1].event
    assert (audited.changes[0].field, audited.changes[0].after) == ("assignment", reward.id)


@pytest.mark.parametrize("repeat", RepeatPolicy)
def test_a_revoked_code_is_never_replayed(host: Host, repeat: RepeatPolicy) -> None:
    host.a_list("A", "B", "C", campaign="CMP", repeat=repeat)
    assign = host.vouchers.codes.assign
    first = assign(campaign_id="CMP", user_id="user-1")
    host.vouchers.codes.revoke(first.id)
    second = assign(campaign_id="CMP", user_id="user-1")
    assert (second.code, second.replayed) == ("B", False)
    host.vouchers.codes.revoke(second.id)
    assert host.vouchers.codes.assign_many(["user-1"], campaign_id="CMP").rewards[0].code == "C"


def test_the_code_before_a_revoked_one_is_held_again(host: Host) -> None:
    winter = host.a_list("A", "B", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    assign = host.vouchers.codes.assign
    first, second = (assign(campaign_id="CMP", user_id="user-1") for _ in range(2))
    host.vouchers.campaigns.link(winter.id, "CMP", repeat=RepeatPolicy.SAME_CODE)
    host.vouchers.codes.revoke(second.id)
    again = assign(campaign_id="CMP", user_id="user-1")
    assert (again.id, again.replayed) == (first.id, True)


def test_revoking_again_returns_the_first_revocation(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    first = host.vouchers.codes.revoke(given.id, reason="first")
    clock.advance(hours=1)
    assert host.vouchers.codes.revoke(given.id, reason="second", actor="ops") == first
    with pytest.raises(AlreadyRevoked):
        host.vouchers.codes.revoke(given.id, restock=True)
    assert len(host.events(CodeRevoked)) == 1
    assert counts(host, winter) == Counts(uploaded=1, retired=1)


@pytest.mark.every_storage
def test_a_restocked_code_goes_to_the_next_user(host: Host) -> None:
    winter = host.a_list("A", "B").id
    known_sink(host)
    codes = host.vouchers.codes
    given = codes.assign(list_id=winter, user_id="user-1")
    first = codes.revoke(given.id, restock=True)
    assert codes.revoke(given.id, restock=True) == codes.revoke(given.id) == first
    assert counts(host, winter) == Counts(uploaded=2)
    again = codes.assign(list_id=winter, user_id="user-2")
    assert (again.code, again.id == given.id) == ("A", False)
    assert [(each.user_id, each.revoked_at is None) for each in codes.holders("A")] == [
        ("user-1", False),
        ("user-2", True),
    ]
    assert counts(host, winter) == Counts(uploaded=2, distributed=1)
    assert [event.user_id for event in host.events(VoucherRewarded)] == ["user-1", "user-2"]


@pytest.mark.every_storage
def test_codes_that_came_back_have_an_order(host: Host) -> None:
    codes, winter = host.vouchers.codes, host.a_list(*"ABCDE").id
    first, second = (codes.assign(list_id=winter, user_id=user) for user in ("ann", "ben"))
    reserved = [
        codes.reserve(list_id=winter, user_id=user, ttl=timedelta(hours=1)) for user in ("cleo", "dan")
    ]
    for each in second, first:
        codes.revoke(each.id, restock=True, force=True)
    for ours in reversed(reserved):
        codes.release(ours.id)
    assert host.give(winter, *"12345") == ["C", "D", "B", "A", "E"]


def test_a_restocked_code_is_a_duplicate_until_its_list_is_archived(host: Host) -> None:
    winter = host.a_list("A", partner="Puma", tag="winter").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.codes.revoke(given.id, restock=True, force=True)
    assert host.upload(winter, "A", force=True).accepted == 0
    host.vouchers.lists.archive(winter)
    assert host.upload(host.a_list(partner="Puma", tag="winter").id, "A").accepted == 1


@pytest.mark.every_storage
def test_the_event_of_a_revoked_code_is_sent_to_no_sink_that_does_not_have_it(host: Host) -> None:
    winter = host.a_list("A", "B").id
    late, early = known_sink(host, "late"), known_sink(host, "early")
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.events.deliver(early)
    with pytest.raises(CodeMayBeKnown):
        host.vouchers.codes.revoke(given.id, restock=True)
    assert counts(host, winter) == Counts(uploaded=2, distributed=1)
    host.vouchers.codes.revoke(given.id, restock=True, force=True)
    host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    report = host.vouchers.events.deliver(late)
    assert (codes_sent(early), codes_sent(late)) == (["A"], ["A"])
    assert report.delivered == 2
    with host.storage.begin(write=False) as tx:
        progress = tx.deliveries.progress("late")
    assert progress is not None
    assert progress.cancelled == 1
    assert host.vouchers.events.backlog("late").undelivered == 0


class Refusing(MemorySink):
    """A sink that refuses all events for good until it is told to take them."""

    refuses = True

    def send(self, entries: Any) -> Any:
        if self.refuses:
            raise ConnectionError("down")
        return super().send(entries)


@pytest.mark.every_storage
def test_a_deferred_event_is_cancelled(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A").id
    sink = Refusing(name="crm")
    sink.refuses = False
    host.vouchers.events.deliver(sink)
    sink.refuses = True
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.events.deliver(sink)
    host.vouchers.codes.revoke(given.id, restock=True)
    sink.refuses = False
    clock.advance(hours=2)
    host.vouchers.events.deliver(sink)
    assert codes_sent(sink) == []
    assert [type(entry.event) for entry in sink.entries][-1] is CodeRevoked
    assert host.vouchers.events.backlog("crm").deferred == 0


def test_without_a_sink_the_user_may_have_been_told_in_another_way(host: Host) -> None:
    winter = host.a_list("A").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    with pytest.raises(CodeMayBeKnown, match="knows no sink"):
        host.vouchers.codes.revoke(given.id, restock=True)
    assert host.vouchers.codes.revoke(given.id, restock=True, force=True).restocked


def test_a_removed_event_may_have_been_delivered(host: Host) -> None:
    winter = host.a_list("A").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.emit_for("user-2")
    sink = known_sink(host)
    assert codes_sent(sink) == ["A"]
    with host.storage.begin() as tx:
        tx.outbox.remove(tx.outbox.last_position())
        tx.commit()
    with pytest.raises(CodeMayBeKnown, match="removed by retention"):
        host.vouchers.codes.revoke(given.id, restock=True)


def test_a_restocked_code_is_withdrawn_with_its_upload(host: Host) -> None:
    winter = host.a_list().id
    upload = host.upload(winter, "A")
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.codes.revoke(given.id, restock=True, force=True)
    host.vouchers.uploads.withdraw(upload.id)
    assert counts(host, winter) == Counts(uploaded=1, withdrawn=1)
    with pytest.raises(CodesExhausted):
        host.vouchers.codes.assign(list_id=winter, user_id="user-2")


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED])
def test_a_code_returns_to_a_list_that_gives_none(host: Host, status: Status) -> None:
    winter = host.a_list("A").id
    known_sink(host)
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.bring(winter, status)
    host.vouchers.codes.revoke(given.id, restock=True)
    assert counts(host, winter) == Counts(uploaded=1)


def test_the_key_of_a_revoked_code_says_so(host: Host, clock: FixedClock) -> None:
    winter = host.a_list("A", "B").id
    codes = host.vouchers.codes
    given = codes.assign(list_id=winter, user_id="user-1", idempotency_key="k")
    codes.revoke(given.id)
    with pytest.raises(AssignmentRevoked) as caught:
        codes.assign(list_id=winter, user_id="user-1", idempotency_key="k")
    assert (caught.value.assignment_id, caught.value.revoked_at) == (given.id, clock.now)


def test_a_list_of_which_a_code_returned_is_not_deleted(host: Host) -> None:
    winter = host.a_list("A").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.codes.revoke(given.id, restock=True, force=True)
    with pytest.raises(ListDistributed):
        host.vouchers.lists.delete(winter)


def test_a_revoked_code_is_still_counted_on_its_day(host: Host) -> None:
    winter = host.a_list("A").id
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    host.vouchers.codes.revoke(given.id)
    assert sum(host.vouchers.lists.distribution(winter).values()) == 1


@pytest.mark.parametrize("kind", ["redeemed", "archived", "withdrawn"])
def test_a_code_that_can_never_return_is_revoked_all_the_same(host: Host, kind: str) -> None:
    winter = host.a_list().id
    upload = host.upload(winter, "A", "B")
    given = host.vouchers.codes.assign(list_id=winter, user_id="user-1")
    if kind == "redeemed":
        host.vouchers.redemptions.add("A", "order-1")
    elif kind == "archived":
        host.vouchers.lists.archive(winter)
    else:
        host.vouchers.uploads.withdraw(upload.id)
    with host.nothing_changes(), pytest.raises(RestockNotAllowed):
        host.vouchers.codes.revoke(given.id, restock=True, force=True)
    assert not host.vouchers.codes.revoke(given.id).restocked
    assert counts(host, winter).retired == 1
