"""Whatever sinks do, and wherever a process dies: checked against what the sink remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection, Storage, Transaction
from tests.properties.backends import InMemory, InSQLite
from tests.support.host import FixedClock, Host, some_codes
from tests.support.sinks import Behaviour, ScriptedSink, fail, take_all

USERS = ["ann", "ben", "cleo", "dora", "eve"]
POLICY = RetryPolicy(max_attempts=4)


class Killed(BaseException):
    """The process is dead."""


class MortalStorage:
    """A storage of a process that is killed at a commit, after which nothing of it reaches the storage."""

    def __init__(self, storage: Storage, commits: int, *, before: bool) -> None:
        self._storage = storage
        self._commits = commits
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Transaction]:
        if self._commits <= 0:
            raise Killed
        with self._storage.begin(write=write) as tx:
            if not write:
                yield tx
                return
            commit = tx.commit

            def commit_or_die() -> None:
                self._commits -= 1
                if self._commits > 0 or not self._before:
                    commit()
                if self._commits <= 0:
                    raise Killed

            with patch.object(tx, "commit", commit_or_die):
                yield tx


def some_rejected(chosen: set[int], final: bool) -> Behaviour:
    return lambda entries: [Rejection(entries[n].id, "no", final) for n in chosen if n < len(entries)]


LOST = "took it, and lost the connection"
BEHAVIOURS = st.one_of(
    st.just(take_all),
    st.builds(some_rejected, st.sets(st.integers(0, 5), max_size=3), st.booleans()),
    st.just(fail(SinkUnavailable(sink="crm", reason="503"))),
    st.just(LOST),
)
DELIVERIES = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 4),
        "concurrency": st.sampled_from([1, 1, 3]),
        "behaviours": st.lists(BEHAVIOURS, max_size=8),
        "killed": st.none() | st.tuples(st.integers(1, 9), st.booleans()),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.lists(st.sampled_from(USERS), min_size=1, max_size=8)),
        st.tuples(st.just("deliver"), DELIVERIES),
        st.tuples(st.just("wait"), st.integers(0, 4000)),
        st.tuples(st.just("retry_dead_letters"), st.none()),
    ),
    min_size=1,
    max_size=12,
)


class Story:
    """What happens, and what must be true of it."""

    def __init__(self, storage: Storage) -> None:
        self.host = Host(storage, FixedClock())
        self.storage = storage
        self.taken: list[OutboxEntry] = []
        self.lost = set[str]()
        self.revived = set[str]()
        self.host.a_list(*some_codes(200), campaign="CMP", repeat=RepeatPolicy.NEW_CODE)

    def give(self, users: list[str]) -> None:
        for user in users:
            self.host.vouchers.codes.assign(campaign_id="CMP", user_id=user)

    def wait(self, seconds: int) -> None:
        self.host.clock.advance(seconds=seconds)

    def retry_dead_letters(self, _: None) -> None:
        letters = self.host.vouchers.events.dead_letters(limit=1000)
        self.revived |= {letter.id for letter in letters}
        assert self.host.vouchers.events.retry_dead_letters() == len(letters)
        assert not self.host.vouchers.events.dead_letters()

    def deliver(self, how: dict[str, Any]) -> None:
        sink = ScriptedSink(batch_size=how["batch_size"], concurrency=how["concurrency"])
        sink.taken = self.taken
        for behaviour in how["behaviours"]:
            sink.next.append(self._behaviour(behaviour))
        storage, killed = self.storage, how["killed"]
        if killed is not None:
            storage = MortalStorage(self.storage, killed[0], before=killed[1])
        try:
            PartnerVouchers(storage, clock=self.host.clock).events.deliver(sink, retry=POLICY)
        except Killed:
            # Its last answers were not stored. The leases of a dead process run out.
            self.lost |= {entry.id for batch in sink.batches[-sink.concurrency :] for entry in batch}
            self.host.clock.advance(seconds=31)

    def _behaviour(self, behaviour: Any) -> Behaviour:
        if callable(behaviour):
            return behaviour  # type: ignore[no-any-return]

        def take_and_fail(entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
            self.taken += entries
            self.lost |= {entry.id for entry in entries}
            raise ConnectionResetError

        return take_and_fail

    def end(self) -> None:
        """Deliver what is left, and check everything."""
        for _ in range(100):
            sink = ScriptedSink()
            sink.taken = self.taken
            report = self.host.vouchers.events.deliver(sink, retry=POLICY)
            if not report.deferred and report.paused_until is None:
                break
            self.host.clock.advance(hours=2)
        else:
            raise AssertionError("it never ends")
        self.check()

    def check(self) -> None:
        outbox = self.host.outbox()
        dead = {letter.id for letter in self.host.vouchers.events.dead_letters(limit=1000)}
        times = Counter(entry.id for entry in self.taken)
        first: dict[str, list[OutboxEntry]] = {}
        for entry in dict.fromkeys(self.taken):
            first.setdefault(entry.event.ordering_key, []).append(entry)
        for entry in outbox:
            assert times[entry.id] or entry.id in dead, "an event is lost"
            assert times[entry.id] <= 1 or entry.id in self.lost, "an event arrived twice for no reason"
            assert not (entry.id in dead and times[entry.id] and entry.id not in self.lost)
        for entries in first.values():
            order = [entry.position for entry in entries if entry.id not in self.revived]
            assert order == sorted(order), "events of one user arrived out of order"
        backlog = self.host.vouchers.events.backlog("crm")
        assert (backlog.deferred, backlog.oldest, backlog.dead_letters) == (0, None, len(dead))


def run(storage: Storage, steps: list[tuple[str, Any]]) -> None:
    story = Story(storage)
    for step, argument in steps:
        getattr(story, step)(argument)
    story.end()


@given(steps=STEPS)
def test_in_memory(steps: list[tuple[str, Any]]) -> None:
    run(InMemory().storage, steps)


@pytest.mark.deep
@given(steps=STEPS)
def test_in_sqlite(steps: list[tuple[str, Any]]) -> None:
    backend = InSQLite()
    try:
        run(backend.storage, steps)
    finally:
        backend.close()
