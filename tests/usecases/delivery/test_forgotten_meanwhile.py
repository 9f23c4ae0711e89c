"""A user is forgotten while their events are on the way to a sink."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.domain.erasure import is_pseudonym
from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry, Rejection
from tests.support.host import Host
from tests.support.sinks import ScriptedSink, take_all
from tests.usecases.delivery.stage import Stage, meanwhile, user_of

pytestmark = pytest.mark.every_storage


@pytest.fixture
def stage(host: Host) -> Stage:
    """Ann's code was revoked, her second and Ben's were redeemed; the sink has all promo events."""
    stage = Stage(host, ScriptedSink(batch_size=1))
    host.a_list("A11", "A22", "A33", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    codes, redemptions = host.vouchers.codes, host.vouchers.redemptions
    first, second, third = (
        codes.assign(campaign_id="CMP", user_id=user).assignment for user in ("ann", "ann", "ben")
    )
    stage.deliver()
    stage.sink.taken.clear()
    codes.revoke(first.id, reason="order cancelled", force=True)
    redemptions.add(second.code, "order-1")
    redemptions.add(third.code, "order-2")
    return stage


def refuse_for_now(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
    return [Rejection(entry.id, "not now", final=False) for entry in entries]


def forget_ann(stage: Stage) -> None:
    """Forget her during the next call."""
    stage.sink.next.append(meanwhile(lambda: stage.host.vouchers.codes.forget_user("ann")))


def test_events_that_follow_have_the_pseudonym(stage: Stage) -> None:
    forget_ann(stage)
    stage.deliver()
    first, *others = (user_of([each]) for each in stage.sink.taken)
    (pseudonym,) = {*others} - {"ben"}
    assert (first, len(others), is_pseudonym(pseudonym)) == ("ann", 2, True)
    assert stage.events.backlog("crm").undelivered == 0


def test_an_event_that_the_sink_took_meanwhile_is_not_sent_again(stage: Stage) -> None:
    stage.sink.next.append(refuse_for_now)
    stage.deliver()
    forget_ann(stage)
    for _ in range(10):
        stage.deliver(hours=5)
    taken = [each.position for each in stage.sink.taken]
    assert len(taken) == len(set(taken)) == 3


def test_a_refusal_on_the_way_that_quotes_the_user_leaves_no_id_behind(stage: Stage) -> None:
    def refuse(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        stage.host.vouchers.codes.forget_user("ann")
        return [Rejection(entry.id, f"{user_of([entry])} is unknown") for entry in entries]

    stage.sink.next.append(refuse)
    stage.deliver()
    with stage.host.storage.begin(write=False) as tx:
        (row,) = tx.deliveries.find("crm", range(100))
    name, _, rest = row.reason.partition(" ")
    assert (is_pseudonym(name), rest) == (True, "is unknown")


def test_events_that_wait_for_one_on_the_way_arrive_after_it(stage: Stage) -> None:
    stage.sink.always = refuse_for_now
    stage.deliver()
    stage.sink.always = take_all
    forget_ann(stage)
    for _ in range(10):
        stage.deliver(hours=5)
    assert stage.events.backlog("crm").undelivered == 0
    names = [each.event.event_name for each in stage.sink.taken if user_of([each]) != "ben"]
    assert names == ["code.revoked", "code.redeemed"]


class SinkBesideErasures(ScriptedSink):
    """A sink during whose deliveries one user after the other is forgotten, ten at most."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.forgotten = 0
        self._host = host

    def wants(self, event: Event) -> bool:
        """Forget a user each time after events were read and before they are sent."""
        if self.forgotten < 10 and not self.batches:
            self.forgotten += 1
            self._host.vouchers.codes.forget_user(f"another {self.forgotten}")
        return True


def test_events_go_out_while_one_user_after_the_other_is_forgotten(host: Host) -> None:
    sink = SinkBesideErasures(host)
    stage = Stage(host, sink)
    stage.emit("ben")
    stage.deliver()
    assert (sink.users(), sink.forgotten) == (["ben"], 1)


def test_an_event_that_was_read_before_its_user_was_forgotten_is_not_sent(host: Host) -> None:
    sink = SinkBesideErasures(host)
    stage = Stage(host, sink)
    stage.emit("another 1", "ben")
    stage.deliver()
    assert sink.users() == ["ben"]
    assert stage.events.backlog("crm").undelivered == 0
