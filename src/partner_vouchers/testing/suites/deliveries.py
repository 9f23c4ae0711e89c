"""Delivery: the order of the outbox, how far each sink has come, and what it did not take."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain.delivery import Deferred, DeliveryState, Pause, SinkProgress
from partner_vouchers.domain.events import ListPaused, PartnerAdded
from partner_vouchers.ports import Deliveries, OutboxEntry, Storage, Unordered
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import START
from partner_vouchers.testing.hooks import StorageHooks, for_all

LATER = START + timedelta(minutes=1)
KEYS = ["user:ann", "user:ben", "list:1", "user:Jo\u0308rg", "user:\U0001f600 ", "x" * 260]
DEAD = DeliveryState.DEAD


def deferred(position: int, key: str = "user:ann") -> Deferred:
    """Return an event that is due since the start."""
    return Deferred(position, f"event-{position}", key, attempts=1, failures=2, retry_at=START, reason="busy")


def fill_outbox(storage: Storage) -> list[OutboxEntry]:
    """Store the events of many users and lists, and return them."""
    list_id = driver.a_list(storage, driver.some_codes(20))
    with driver.committing(storage) as tx:
        tx.assignments.add(driver.take(tx, list_id, [f"user-{number}" for number in range(20)]))
        tx.outbox.append([ListPaused(occurred_at=START, list_id=str(number)) for number in range(1, 20)])
        tx.outbox.append([PartnerAdded(occurred_at=START)])
    return driver.outbox(storage)


class OutboxSuite(StorageHooks):
    """Tests of `ports.Outbox`, as a delivery uses it."""

    def test_entries_of_the_outbox_are_counted_and_found_by_position(self, storage: Storage) -> None:
        with storage.begin(write=False) as tx:
            assert (tx.outbox.last_position(), tx.outbox.read(0, 10), tx.outbox.can_order()) == (0, [], False)
            assert tx.outbox.unordered(10) == Unordered()
        entries = fill_outbox(storage)
        wanted = [entries[7], entries[2], entries[-1], entries[2]]
        with storage.begin(write=False) as tx:
            last = entries[-1].position
            assert tx.outbox.last_position() == last
            for index in (0, 7, len(entries) - 1):
                after, left = entries[index].position, len(entries) - 1 - index
                assert tx.outbox.count(after, last, driver.ALL) == left
                assert tx.outbox.count(after, last, 3) == min(left, 3)
                assert tx.outbox.count(0, after, driver.ALL) == index + 1
            assert tx.outbox.get_many([entry.position for entry in wanted]) == wanted
            assert tx.outbox.get_many([-1, 0, last + 1, entries[1].position]) == [entries[1]]
            assert tx.outbox.get_many([]) == []

    def test_an_event_is_counted_from_its_commit_on(self, storage: Storage) -> None:
        """It has a position, or it is counted as one that has none yet."""
        with driver.committing(storage) as tx:
            tx.outbox.append([PartnerAdded(occurred_at=START)])
        with storage.begin(write=False) as tx:
            unordered = tx.outbox.unordered(10).count
            assert unordered + tx.outbox.count(0, tx.outbox.last_position(), 10) == 1
        assert len(driver.outbox(storage)) == 1
        with storage.begin(write=False) as tx:
            assert tx.outbox.unordered(10) == Unordered()

    def test_what_is_removed_from_the_outbox_is_gone_but_what_a_sink_needs_stays(
        self, storage: Storage
    ) -> None:
        entries = fill_outbox(storage)
        with driver.committing(storage) as tx:
            tx.deliveries.put("a", [deferred(entries[3].position)])
            tx.deliveries.put("b", [evolve(deferred(entries[5].position), state=DEAD, retry_at=None)])
        with storage.begin() as tx:
            assert tx.outbox.remove(entries[9].position) == 8
        assert driver.outbox(storage) == entries, "the removal was not committed"
        with driver.committing(storage) as tx:
            assert tx.outbox.remove(entries[9].position) == 8
        assert driver.outbox(storage) == [entries[3], entries[5], *entries[10:]]

    def test_positions_and_ids_are_not_used_again_after_a_removal(self, storage: Storage) -> None:
        entries = fill_outbox(storage)
        last = entries[-1].position
        with driver.committing(storage) as tx:
            tx.deliveries.save_progress("a", SinkProgress(last))
            assert tx.outbox.remove(last) in (len(entries), len(entries) - 1)
        with driver.committing(storage) as tx:
            tx.outbox.append([PartnerAdded(occurred_at=START)])
        [new] = [entry for entry in driver.outbox(storage) if entry.position > last]
        assert new.id not in {entry.id for entry in entries}


class DeliverySuite(StorageHooks):
    """Tests of `ports.Deliveries`."""

    def test_the_progress_of_a_sink_comes_back(self, storage: Storage) -> None:
        far = SinkProgress(
            position=2**40,
            ahead=((2**40 + 2, 2**40 + 2), (2**40 + 4, 2**41)),
            sent=2**41 + 1,
            pause=Pause(3, LATER + timedelta(microseconds=7), suspect=2**40 + 1),
            cancelled=5,
        )
        with driver.committing(storage) as tx:
            assert tx.deliveries.sinks() == []
            assert tx.deliveries.progress("a") is None
            tx.deliveries.save_progress("b", far)
            tx.deliveries.save_progress("a", SinkProgress(3, ahead=((5, 6),)))
            tx.deliveries.save_progress("a", SinkProgress(7))
        with storage.begin() as tx:
            tx.deliveries.save_progress("a", SinkProgress(9))
            tx.deliveries.save_progress("lost", SinkProgress(9))
        with storage.begin(write=False) as tx:
            assert tx.deliveries.sinks() == ["a", "b"]
            assert tx.deliveries.progress("a") == SinkProgress(7)
            assert tx.deliveries.progress("b") == far
            assert tx.deliveries.progress("A") is None

    def test_a_later_event_is_not_due_before_an_earlier_one_of_the_same_key(self, storage: Storage) -> None:
        first = evolve(deferred(1), retry_at=LATER)
        second = evolve(deferred(2), attempts=0, reason="", retry_at=None)
        other = deferred(3, "user:ben")
        with driver.committing(storage) as tx:
            tx.deliveries.put("a", [first, second, other])
            tx.deliveries.put("b", [deferred(9, "user:cleo")])
        with storage.begin() as tx:
            assert tx.deliveries.due("a", START, 10) == [other]
            assert tx.deliveries.due("a", LATER, 10) == [other, first]
            assert tx.deliveries.due("a", LATER, 1) == [other]
            # A dead letter holds nobody back, and the next of its key becomes due.
            tx.deliveries.put("a", [evolve(first, state=DEAD, retry_at=None)])
            assert tx.deliveries.due("a", LATER, 10) == [other]
            assert tx.deliveries.promote("a", ["user:ann", "user:ben", "user:cleo"], LATER) == {
                "user:ann",
                "user:ben",
            }
            assert tx.deliveries.due("a", LATER, 10) == [other, evolve(second, retry_at=LATER)]
            # A dead letter that is sent again comes first.
            tx.deliveries.put("a", [evolve(first, retry_at=None)])
            assert tx.deliveries.due("a", LATER, 10) == [other]
            tx.deliveries.promote("a", ["user:ann"], START)
            assert tx.deliveries.due("a", LATER, 10) == [evolve(first, retry_at=START), other]
            tx.deliveries.remove("a", [1, 3])
            assert [row.position for row in tx.deliveries.due("a", LATER, 10)] == [2]

    def test_a_sink_is_forgotten_as_a_whole(self, storage: Storage) -> None:
        with driver.committing(storage) as tx:
            for sink in ("a", "b"):
                tx.deliveries.save_progress(sink, SinkProgress(1))
                tx.deliveries.put(sink, [deferred(1), evolve(deferred(2, "k"), state=DEAD, retry_at=None)])
            tx.deliveries.forget("a")
            tx.deliveries.forget("nobody")
        with storage.begin(write=False) as tx:
            assert tx.deliveries.sinks() == ["b"]
            assert (tx.deliveries.backlog("a"), tx.deliveries.count_dead("a")) == ((0, None), 0)
            assert (tx.deliveries.backlog("b"), tx.deliveries.count_dead("b")) == ((1, 1), 1)

    def test_what_is_deferred_is_what_was_put_and_not_removed(self, storage: Storage) -> None:
        numbers = count()
        positions = st.integers(1, 12)
        waits = st.none() | st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes))
        events = st.builds(
            lambda position, key, state, attempts, failures, retry_at, reason: Deferred(
                position,
                f"event-{position}",
                key,
                state,
                attempts,
                failures,
                None if state is DEAD else retry_at,
                reason,
            ),
            positions,
            st.sampled_from(KEYS),
            st.sampled_from([DeliveryState.DEFERRED, DeliveryState.IN_FLIGHT, DEAD]),
            st.integers(0, 3),
            st.integers(0, 3),
            waits,
            st.sampled_from(["", "busy ", "'); DROP TABLE deferred"]),
        )
        steps = st.tuples(st.integers(0, 1), st.lists(events, max_size=4), st.sets(positions, max_size=3))

        @for_all(st.lists(steps, max_size=6))
        def check(drawn: list[tuple[int, list[Deferred], set[int]]]) -> None:
            sinks = [f"sink {next(numbers)}" for _ in range(2)]
            model: dict[str, dict[int, Deferred]] = {sink: {} for sink in sinks}
            for which, put, removed in drawn:
                sink = sinks[which]
                with driver.committing(storage) as tx:
                    tx.deliveries.put(sink, put)
                    tx.deliveries.remove(sink, removed)
                model[sink] |= {each.position: each for each in put}
                for position in removed:
                    model[sink].pop(position, None)
            with storage.begin(write=False) as tx:
                for sink, known in model.items():
                    _require_deferred(tx.deliveries, sink, [known[position] for position in sorted(known)])

        check()


def _require_deferred(deliveries: Deliveries, sink: str, known: list[Deferred]) -> None:
    alive = [each for each in known if not each.is_dead]
    dead = [each for each in known if each.is_dead]
    assert deliveries.backlog(sink) == (len(alive), alive[0].position if alive else None)
    assert deliveries.find(sink, range(1, 13)) == known
    assert deliveries.find(sink, [3, 2]) == [each for each in known if each.position in (2, 3)]
    assert deliveries.count_dead(sink) == len(dead)
    assert deliveries.dead(sink, 0, driver.ALL) == dead
    assert deliveries.dead(sink, 3, 2) == [each for each in dead if each.position > 3][:2]
    wanted = ["event-4", "event-2", "event-99"]
    assert deliveries.dead_with_ids(sink, wanted) == [each for each in dead if each.id in wanted]
    assert deliveries.deferred_keys(sink, KEYS[:4]) == {each.key for each in alive} & set(KEYS[:4])
    first: dict[str, Deferred] = {}
    for each in alive:
        first.setdefault(each.key, each)
    due = [each for each in first.values() if each.retry_at is not None and each.retry_at <= LATER]
    due.sort(key=lambda each: (each.retry_at, each.position))
    assert deliveries.due(sink, LATER, driver.ALL) == due
    assert deliveries.due(sink, LATER, 1) == due[:1]
