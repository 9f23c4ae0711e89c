"""What the storages keep of the delivery: the lanes of the outbox, progress, and what is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.delivery import LANES, Held, Progress, lane_of
from partner_vouchers.ports import Deliveries, OutboxEntry, Storage, Transaction
from tests.properties.backends import InMemory, InSQLite
from tests.support.host import START, Host, some_codes

KEYS = ["user:ann", "user:ben", "list:1", "user:Jörg", ""]


def held(position: int, **other: object) -> Held:
    described = {"lane": 3, "key": "user:ann", "attempts": 1, "retry_at": START, "reason": "busy", **other}
    return Held(position, **described)  # type: ignore[arg-type]


@pytest.fixture
def outbox(host: Host) -> Sequence[OutboxEntry]:
    """Many users' events, and some of lists."""
    found = host.a_list(*some_codes(60))
    host.vouchers.codes.assign_many([f"user-{number}" for number in range(50)], list_id=found.id)
    host.give(found.id, "ann", "ben", "ann")
    return host.outbox()


# --- lanes -------------------------------------------------------------------------------------------------------


def test_the_lanes_are_the_outbox_parted_by_key(storage: Storage, outbox: Sequence[OutboxEntry]) -> None:
    with storage.begin(write=False) as tx:
        lanes = [tx.outbox.read_lane(lane, 0, 1000) for lane in range(LANES)]
        assert {reached for _, reached in lanes} == {tx.outbox.last_position()} == {outbox[-1].position}
    for lane, (entries, _) in enumerate(lanes):
        assert entries == [entry for entry in outbox if lane_of(entry.event) == lane]
    assert len(list(chain.from_iterable(entries for entries, _ in lanes))) == len(outbox)


def test_a_lane_is_read_in_parts(storage: Storage, outbox: Sequence[OutboxEntry]) -> None:
    for lane in range(LANES):
        mine = [entry for entry in outbox if lane_of(entry.event) == lane]
        with storage.begin(write=False) as tx:
            found, after = list[OutboxEntry](), 0
            while after < tx.outbox.last_position():
                entries, reached = tx.outbox.read_lane(lane, after, 2)
                assert len(entries) < 2 or reached == entries[-1].position
                found += entries
                after = reached
            assert tx.outbox.read_lane(lane, after, 2) == ([], after)
            assert tx.outbox.read_lane(lane, after + 100, 2) == ([], after + 100)
        assert found == mine


def test_entries_are_found_by_position(storage: Storage, outbox: Sequence[OutboxEntry]) -> None:
    wanted = [outbox[7], outbox[2], outbox[-1]]
    with storage.begin(write=False) as tx:
        assert tx.outbox.get_many([entry.position for entry in wanted]) == wanted
        assert tx.outbox.get_many([0, outbox[-1].position + 1, outbox[1].position]) == [outbox[1]]
        assert tx.outbox.get_many([]) == []


def test_an_empty_outbox_has_no_last_position(storage: Storage) -> None:
    with storage.begin(write=False) as tx:
        assert tx.outbox.last_position() == 0
        assert tx.outbox.read_lane(0, 0, 10) == ([], 0)


def test_what_is_removed_is_gone_but_what_is_held_stays(
    storage: Storage, outbox: Sequence[OutboxEntry]
) -> None:
    waiting, dead, until = outbox[3].position, outbox[5].position, outbox[9].position
    with storage.begin() as tx:
        tx.deliveries.hold("a", [held(waiting)])
        tx.deliveries.hold("b", [held(dead, retry_at=None)])
        tx.commit()
    with storage.begin() as tx:
        assert tx.outbox.remove(until) == 8
    with storage.begin(write=False) as tx:
        assert tx.outbox.read(0, 1000) == list(outbox), "rolled back"
    with storage.begin() as tx:
        assert tx.outbox.remove(until) == 8
        tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.outbox.read(0, 1000) == [outbox[3], outbox[5], *outbox[10:]]


def test_positions_are_not_used_again_after_all_was_removed(
    storage: Storage, host: Host, outbox: Sequence[OutboxEntry]
) -> None:
    last = outbox[-1].position
    with storage.begin() as tx:
        assert tx.outbox.remove(last) >= len(outbox) - 1
        tx.commit()
    host.vouchers.partners.add("Amazon")
    (entry,) = [entry for entry in host.outbox() if entry.position > last]
    assert entry.id not in {entry.id for entry in outbox}


# --- what is held --------------------------------------------------------------------------------------------


def test_progress_is_kept_by_sink_and_lane(storage: Storage) -> None:
    with storage.begin() as tx:
        assert tx.deliveries.sinks() == []
        assert tx.deliveries.progress("a") == {}
        tx.deliveries.save_progress("b", 1, Progress(5, (7, 9)))
        tx.deliveries.save_progress("a", 0, Progress())
        tx.deliveries.save_progress("a", 0, Progress(2))
        tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.deliveries.sinks() == ["a", "b"]
        assert tx.deliveries.progress("a") == {0: Progress(2)}
        assert tx.deliveries.progress("b") == {1: Progress(5, (7, 9))}


def test_a_later_event_of_a_key_is_not_due_before_an_earlier_one(storage: Storage) -> None:
    later = START + timedelta(minutes=1)
    first = held(1, key="user:ann", retry_at=later)
    second = held(2, key="user:ann", attempts=0)
    other = held(3, key="user:ben")
    with storage.begin() as tx:
        tx.deliveries.hold("a", [first, second, other])
        tx.deliveries.hold("a", [held(9, key="user:cleo", lane=4)])
        assert tx.deliveries.due("a", 3, START, 10) == [other]
        assert tx.deliveries.due("a", 3, later, 10) == [first, other]
        assert tx.deliveries.due("a", 3, later, 1) == [first]
        # A dead letter holds nobody back.
        tx.deliveries.hold("a", [held(1, key="user:ann", retry_at=None)])
        assert tx.deliveries.due("a", 3, START, 10) == [second, other]
        tx.deliveries.let_go("a", [2, 3])
        assert tx.deliveries.due("a", 3, later, 10) == []


def test_a_sink_is_forgotten_as_a_whole(storage: Storage) -> None:
    with storage.begin() as tx:
        for sink in ("a", "b"):
            tx.deliveries.save_progress(sink, 3, Progress(1))
            tx.deliveries.hold(sink, [held(1), held(2, retry_at=None)])
        tx.deliveries.forget("a")
        assert tx.deliveries.sinks() == ["b"]
        assert (tx.deliveries.waiting("a"), tx.deliveries.count_dead("a")) == ((0, None), 0)
        assert (tx.deliveries.waiting("b"), tx.deliveries.count_dead("b")) == ((1, 1), 1)


_positions = st.integers(1, 12)
_held = st.builds(
    Held,
    position=_positions,
    lane=st.integers(0, 1),
    key=st.sampled_from(KEYS),
    attempts=st.integers(0, 3),
    retry_at=st.none() | st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes)),
    reason=st.sampled_from(["", "busy", "'); DROP TABLE pv_held"]),
)
_sinks = st.sampled_from(["a", "b"])
_steps = st.lists(
    st.tuples(st.just("hold"), _sinks, st.lists(_held, max_size=4))
    | st.tuples(st.just("let go"), _sinks, st.sets(_positions, max_size=4))
    | st.tuples(st.just("forget"), _sinks, st.none()),
    max_size=8,
)


def _seen(deliveries: Deliveries) -> object:
    return [
        (
            [deliveries.due(sink, lane, START + timedelta(minutes=1), limit) for limit in (1, 100)],
            deliveries.waiting_keys(sink, lane, [*KEYS[:4], "user:nobody"]),
            deliveries.waiting(sink),
            deliveries.dead(sink, 3, 4),
            deliveries.count_dead(sink),
        )
        for sink in ("a", "b", "c")
        for lane in (0, 1)
    ]


@pytest.fixture(scope="module")
def backends() -> Iterator[list[Storage]]:
    memory, sqlite = InMemory(), InSQLite()
    yield [memory.storage, sqlite.storage]
    sqlite.close()


@given(steps=_steps)
def test_both_storages_hold_alike(backends: list[Storage], steps: list[tuple[str, str, list[Held]]]) -> None:
    def do(tx: Transaction) -> object:
        for step, sink, argument in steps:
            match step:
                case "hold":
                    tx.deliveries.hold(sink, argument)
                case "let go":
                    tx.deliveries.let_go(sink, argument)  # type: ignore[arg-type]
                case _:
                    tx.deliveries.forget(sink)
        return _seen(tx.deliveries)

    saw = list[object]()
    for storage in backends:
        with storage.begin() as tx:
            saw.append(do(tx))
        # It was rolled back.
        with storage.begin(write=False) as tx:
            assert _seen(tx.deliveries) == [([[], []], set(), (0, None), [], 0)] * 6
    assert saw[0] == saw[1]
