"""A sink that takes several calls at once gets them, and no answer of one is lost to another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ALL_COMPLETED
from typing import Any

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.promo_events import PointsCredited
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.usecases.delivery import calls
from partner_vouchers.usecases.delivery.calls import Calls
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink

MANY = 16
USERS = [f"user-{number}" for number in range(MANY)]


@pytest.fixture
def host() -> Host:
    return Host(MemoryStorage(), FixedClock())


def credit(host: Host, *users: str) -> None:
    for user in users:
        host.vouchers.events.emit(an_event(PointsCredited, user_id=user))


def user_of(entries: Sequence[OutboxEntry]) -> str:
    return str(getattr(entries[0].event, "user_id", ""))


def test_a_sink_gets_as_many_calls_at_once_as_it_takes(host: Host) -> None:
    credit(host, *USERS)
    sink, together, threads = (
        ScriptedSink(batch_size=1, concurrency=MANY),
        threading.Barrier(MANY),
        set[str](),
    )

    def meet(_: object) -> list[Any]:
        together.wait(PATIENCE)
        threads.add(threading.current_thread().name)
        return []

    sink.always = meet
    assert host.vouchers.events.deliver(sink).delivered == MANY
    assert len(threads) == MANY
    assert all(name.startswith("partner_vouchers delivery") for name in threads)


def test_a_slow_call_keeps_only_its_own_users_waiting(host: Host) -> None:
    slow, quick = USERS[0], USERS[1]
    credit(host, slow, quick, quick)
    sink, quick_calls = ScriptedSink(batch_size=1, concurrency=2), threading.Semaphore(0)

    def behave(entries: Sequence[OutboxEntry]) -> list[Any]:
        if user_of(entries) == slow:
            assert all(quick_calls.acquire(timeout=PATIENCE) for _ in range(2))
        else:
            quick_calls.release()
        return []

    sink.always = behave
    assert host.vouchers.events.deliver(sink).failure is None
    assert sink.users() == [quick, quick, slow]


def test_answers_that_come_together_all_count(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_COMPLETED", ALL_COMPLETED)
    credit(host, *USERS, *[f"another-{number}" for number in range(53 - MANY)])
    sink = ScriptedSink(batch_size=18, concurrency=3)

    def reject_the_first(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return [Rejection(entries[0].id, "no", final=True)]

    sink.next.extend([reject_the_first] * 3)
    report = host.vouchers.events.deliver(sink)
    assert (report.delivered, report.not_taken) == (50, 3)


def test_an_interrupt_waits_for_the_other_answers_and_keeps_them(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = USERS[:3]
    credit(host, *users)
    gates = dict(zip(users, [threading.Event() for _ in users], strict=True))
    closed, collect = iter(users[1:]), Calls.collect
    sink = ScriptedSink(batch_size=1, concurrency=3)

    def one_by_one(self: Calls[Any]) -> list[Any]:
        try:
            return collect(self)
        finally:
            gates[next(closed, users[0])].set()

    def behave(entries: Sequence[OutboxEntry]) -> list[Any]:
        if user_of(entries) == users[0]:
            raise KeyboardInterrupt
        assert gates[user_of(entries)].wait(PATIENCE)
        return []

    monkeypatch.setattr(Calls, "collect", one_by_one)
    sink.always = behave
    with pytest.raises(KeyboardInterrupt):
        host.vouchers.events.deliver(sink)
    after = ScriptedSink()
    host.vouchers.events.deliver(after)
    assert (sink.users(), after.users()) == (users[1:], users[:1])
