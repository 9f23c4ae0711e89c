"""Delivery: the lanes of the outbox, how far each sink has come, and what is held back."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain.delivery import LANES, Held, Progress, lane_of
from partner_vouchers.domain.events import ListPaused, PartnerAdded
from partner_vouchers.ports import Deliveries, OutboxEntry, Storage
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, for_all

LATER = START + timedelta(minutes=1)
KEYS = ["user:ann", "user:ben", "list:1", "user:Jörg", ""]


def held(position: int, key: str = "user:ann") -> Held:
    """Return an event that waits since the start."""
    return Held(position, 3, key, attempts=1, retry_at=START, reason="busy")


def fill_outbox(storage: Storage) -> list[OutboxEntry]:
    """Store the events of many users and lists, and return them."""
    list_id = driver.a_list(storage, driver.some_codes(40))
    for number in range(30):
        driver.assign(storage, f"user-{number % 20}", list_id=list_id, again=True)
    with storage.begin() as tx:
        tx.outbox.append([ListPaused(occurred_at=START, list_id=str(number)) for number in range(1, 20)])
        tx.outbox.append([PartnerAdded(occurred_at=START)])
        tx.commit()
    return driver.outbox(storage)


class LaneClauses(StorageHooks):
    """What `ports.Outbox` owes to a delivery."""

    def test_the_lanes_are_the_outbox_parted_by_what_events_concern(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        with storage.begin(write=False) as tx:
            last = tx.outbox.last_position()
            assert last == entries[-1].position
            for lane in range(LANES):
                mine = [entry for entry in entries if lane_of(entry.event) == lane]
                assert tx.outbox.read_lane(lane, 0, driver.ALL) == (mine, last)
                found, after = list[OutboxEntry](), 0
                while after < last:
                    part, reached = tx.outbox.read_lane(lane, after, 2)
                    assert len(part) < 2 or reached == part[-1].position
                    assert reached > after
                    found, after = found + part, reached
                assert found == mine, f"lane {lane}"
                assert tx.outbox.read_lane(lane, after, 2) == ([], after)
                assert tx.outbox.read_lane(lane, after + 100, 2) == ([], after + 100)

    def test_entries_of_the_outbox_are_counted_up_to_a_limit(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        with storage.begin(write=False) as tx:
            for index in (0, 7, len(entries) - 1):
                after, left = entries[index].position, len(entries) - 1 - index
                assert tx.outbox.count(after, driver.ALL) == left
                assert tx.outbox.count(after, 3) == min(left, 3)
            assert tx.outbox.count(0, driver.ALL) == len(entries)

    def test_entries_of_the_outbox_are_found_by_position(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        wanted = [entries[7], entries[2], entries[-1]]
        with storage.begin(write=False) as tx:
            assert tx.outbox.get_many([entry.position for entry in wanted]) == wanted
            last = entries[-1].position
            assert tx.outbox.get_many([-1, 0, last + 1, entries[1].position]) == [entries[1]]
            assert tx.outbox.get_many([]) == []

    def test_an_empty_outbox_has_no_last_position(self, storage: Storage) -> None:
        with storage.begin(write=False) as tx:
            assert tx.outbox.last_position() == 0
            assert tx.outbox.read_lane(0, 0, 10) == ([], 0)
            assert tx.outbox.read(0, 10) == []

    def test_what_is_removed_from_the_outbox_is_gone_but_what_is_held_stays(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        with storage.begin() as tx:
            tx.deliveries.hold("a", [held(entries[3].position)])
            tx.deliveries.hold("b", [evolve(held(entries[5].position), retry_at=None)])
            tx.commit()
        with storage.begin() as tx:
            assert tx.outbox.remove(entries[9].position) == 8
        assert driver.outbox(storage) == entries, "the removal was not committed"
        with storage.begin() as tx:
            assert tx.outbox.remove(entries[9].position) == 8
            tx.commit()
        assert driver.outbox(storage) == [entries[3], entries[5], *entries[10:]]

    def test_positions_and_ids_are_not_used_again_after_a_removal(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        last = entries[-1].position
        with storage.begin() as tx:
            assert tx.outbox.remove(last) in (len(entries), len(entries) - 1)
            tx.commit()
        with storage.begin() as tx:
            tx.outbox.append([PartnerAdded(occurred_at=START)])
            tx.commit()
        [new] = [entry for entry in driver.outbox(storage) if entry.position > last]
        assert new.id not in {entry.id for entry in entries}


class DeliveryClauses(StorageHooks):
    """What `ports.Deliveries` owes."""

    def test_progress_is_kept_by_sink_and_lane(self, storage: Storage) -> None:
        with storage.begin() as tx:
            assert tx.deliveries.sinks() == []
            assert tx.deliveries.progress("a") == {}
            tx.deliveries.save_progress("b", 1, Progress(5, (7, 9)))
            tx.deliveries.save_progress("a", 0, Progress())
            tx.deliveries.save_progress("a", 15, Progress(2, (4,)))
            tx.deliveries.save_progress("a", 15, Progress(4))
            tx.commit()
        with storage.begin() as tx:
            tx.deliveries.save_progress("a", 0, Progress(9))
            tx.deliveries.save_progress("lost", 0, Progress(9))
        with storage.begin(write=False) as tx:
            assert tx.deliveries.sinks() == ["a", "b"]
            assert tx.deliveries.progress("a") == {0: Progress(), 15: Progress(4)}
            assert tx.deliveries.progress("b") == {1: Progress(5, (7, 9))}

    def test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key(self, storage: Storage) -> None:
        first = evolve(held(1), retry_at=LATER)
        second = evolve(held(2), attempts=0, reason="")
        other = held(3, "user:ben")
        with storage.begin() as tx:
            tx.deliveries.hold("a", [first, second, other])
            tx.deliveries.hold("a", [evolve(held(9, "user:cleo"), lane=4)])
            tx.commit()
        with storage.begin() as tx:
            assert tx.deliveries.due("a", 3, START, 10) == [other]
            assert tx.deliveries.due("a", 3, LATER, 10) == [first, other]
            assert tx.deliveries.due("a", 3, LATER, 1) == [first]
            # A dead letter holds nobody back.
            tx.deliveries.hold("a", [evolve(first, retry_at=None)])
            assert tx.deliveries.due("a", 3, START, 10) == [second, other]
            tx.deliveries.let_go("a", [2, 3])
            assert tx.deliveries.due("a", 3, LATER, 10) == []

    def test_a_sink_is_forgotten_as_a_whole(self, storage: Storage) -> None:
        with storage.begin() as tx:
            for sink in ("a", "b"):
                tx.deliveries.save_progress(sink, 3, Progress(1))
                tx.deliveries.hold(sink, [held(1), evolve(held(2), retry_at=None)])
            tx.deliveries.forget("a")
            tx.deliveries.forget("nobody")
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.deliveries.sinks() == ["b"]
            assert (tx.deliveries.waiting("a"), tx.deliveries.count_dead("a")) == ((0, None), 0)
            assert (tx.deliveries.waiting("b"), tx.deliveries.count_dead("b")) == ((1, 1), 1)

    def test_what_is_held_is_what_was_held_and_not_let_go(self, storage: Storage) -> None:
        numbers = count()
        positions = st.integers(1, 12)
        waits = st.none() | st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes))
        events = st.builds(
            Held,
            positions,
            st.integers(0, 1),
            st.sampled_from(KEYS),
            st.integers(0, 3),
            waits,
            st.sampled_from(["", "busy", "'); DROP TABLE held"]),
        )
        steps = st.tuples(st.integers(0, 1), st.lists(events, max_size=4), st.sets(positions, max_size=3))

        @for_all(st.lists(steps, max_size=6))
        def check(drawn: list[tuple[int, list[Held], set[int]]]) -> None:
            sinks = [f"sink {next(numbers)}" for _ in range(2)]
            model: dict[str, dict[int, Held]] = {sink: {} for sink in sinks}
            for which, hold, let_go in drawn:
                sink = sinks[which]
                with storage.begin() as tx:
                    tx.deliveries.hold(sink, hold)
                    tx.deliveries.let_go(sink, let_go)
                    tx.commit()
                model[sink] |= {each.position: each for each in hold}
                for position in let_go:
                    model[sink].pop(position, None)
            with storage.begin(write=False) as tx:
                for sink, known in model.items():
                    _require_held(tx.deliveries, sink, [known[position] for position in sorted(known)])

        check()


def _require_held(deliveries: Deliveries, sink: str, known: list[Held]) -> None:
    waiting = [each for each in known if not each.is_dead]
    dead = [each for each in known if each.is_dead]
    assert deliveries.waiting(sink) == (len(waiting), waiting[0].position if waiting else None)
    assert deliveries.count_dead(sink) == len(dead)
    assert deliveries.dead(sink, 0, driver.ALL) == dead
    assert deliveries.dead(sink, 3, 2) == [each for each in dead if each.position > 3][:2]
    for lane in (0, 1):
        mine = [each for each in waiting if each.lane == lane]
        assert deliveries.waiting_keys(sink, lane, KEYS[:4]) == {each.key for each in mine} & set(KEYS[:4])
        first: dict[str, Held] = {}
        for each in mine:
            first.setdefault(each.key, each)
        due = [each for each in first.values() if each.retry_at is not None and each.retry_at <= LATER]
        assert deliveries.due(sink, lane, LATER, driver.ALL) == due
        assert deliveries.due(sink, lane, LATER, 1) == due[:1]
