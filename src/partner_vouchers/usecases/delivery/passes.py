"""Deliver to one sink what is due now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime

from attrs import define, frozen

from partner_vouchers.domain.delivery import LANES, Held, Pause, Progress, RetryPolicy, batch_limit
from partner_vouchers.errors import StorageBusy, StorageError
from partner_vouchers.ports import EventSink, Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.delivery.calls import Answer, Calls, readable
from partner_vouchers.usecases.delivery.lanes import Batch, LaneWork
from partner_vouchers.usecases.delivery.leases import LaneLeases
from partner_vouchers.usecases.delivery.pauses import load_pause, save_pause
from partner_vouchers.usecases.wiring import Wiring

Call = tuple[LaneWork, Batch]

_LAG = 1000
"""How many events of other lanes a lane may lie behind before that is worth a transaction."""

_TURN_OF_A_LANE = 10
"""A lane that has settled more batches than this makes room for another."""

_BUSY_RETRIES = 3


@define
class Tally:
    """What a pass did.

    Attributes:
        delivered: how many events the sink took.
        not_taken: how often it did not take one.
        failure: why the sink failed as a whole the last time; None where it did not.
    """

    delivered: int = 0
    not_taken: int = 0
    failure: str | None = None


@frozen
class _Plan:
    """What there is to do for a sink: the lanes, up to which position, and whether it is left alone."""

    lanes: list[int]
    target: int
    pause: Pause


class Deliverer:
    """Delivers to one sink, pass after pass. It remembers which lanes are empty, so that a look costs little."""

    def __init__(self, wiring: Wiring, sink: EventSink, policy: RetryPolicy, *, from_now: bool) -> None:
        self._wiring = wiring
        self._sink = sink
        self._policy = policy
        self._from_now = from_now
        self._holder = wiring.new_token()
        self._empty_up_to = [0] * LANES
        self._counted_up_to = 0

    @property
    def sink_name(self) -> str:
        """The name of the sink."""
        return self._sink.name

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Tally:
        """Hand over what is due, until nothing more is, the sink fails, or `stopping` says so.

        Raises:
            StorageError: the storage cannot be used.
        """
        plan = self._look()
        tally = Tally()
        if plan.lanes and not plan.pause.holds(self._wiring.now()):
            one_pass = _Pass(self._wiring, self._sink, self._policy, self._holder, plan, tally)
            try:
                one_pass.run(stopping)
            finally:
                one_pass.close()
        return tally

    def _look(self) -> _Plan:
        """Look what there is to do. Where there is nothing, that is one transaction that only reads."""
        while (plan := transact(self._wiring, self._plan, write=False)) is None:
            self._empty_up_to, self._counted_up_to = [0] * LANES, 0
            transact(self._wiring, self._register)
        return plan

    def _plan(self, tx: Transaction) -> _Plan | None:
        now = self._wiring.now()
        name = self._sink.name
        known = tx.deliveries.progress(name)
        if not known:
            return None
        last = tx.outbox.last_position()
        all_progress = [known.get(lane, Progress()) for lane in range(LANES)]
        lanes = [lane for lane in range(LANES) if self._has_work(tx, lane, all_progress[lane], last, now)]
        if last != self._counted_up_to:
            far = self._far_behind(tx, {progress.position for progress in all_progress})
            lanes += [
                lane for lane in range(LANES) if lane not in lanes and all_progress[lane].position in far
            ]
            self._counted_up_to = 0 if far else last
        # Relays that share the work seldom meet.
        chances = [self._wiring.chance() for _ in range(LANES)]
        return _Plan(sorted(lanes, key=chances.__getitem__), last, load_pause(tx, name))

    def _has_work(self, tx: Transaction, lane: int, progress: Progress, last: int, now: datetime) -> bool:
        if progress.ahead or tx.deliveries.due(self._sink.name, lane, now, 1):
            return True
        start = max(progress.position, self._empty_up_to[lane])
        if start < last:
            entries, reached = tx.outbox.read_lane(lane, start, 1)
            if entries:
                return True
            self._empty_up_to[lane] = reached
        return False

    def _far_behind(self, tx: Transaction, positions: Collection[int]) -> set[int]:
        """Return the positions behind which there are so many events that whoever looks anew walks past too many.

        Positions tell nothing of that: between those of two events there may be any number.
        """
        far = set[int]()
        for position in sorted(positions):
            if tx.outbox.count(position, _LAG + 1) <= _LAG:
                break
            far.add(position)
        return far

    def _register(self, tx: Transaction) -> None:
        if not tx.deliveries.progress(self._sink.name):
            start = Progress(tx.outbox.last_position() if self._from_now else 0)
            for lane in range(LANES):
                tx.deliveries.save_progress(self._sink.name, lane, start)
        tx.commit()


class _Pass:
    """One pass: settles, claims, forms batches and calls the sink in turn, until nothing is left.

    A lane has one owner at a time, by a lease that is taken in one transaction and asked for again in the one
    that settles a batch. What is read and sent in between holds no lock.
    """

    def __init__(
        self,
        wiring: Wiring,
        sink: EventSink,
        policy: RetryPolicy,
        holder: str,
        plan: _Plan,
        tally: Tally,
    ) -> None:
        self._wiring = wiring
        self._sink = sink
        self._policy = policy
        self._target = plan.target
        self._tally = tally
        self._pause = plan.pause
        self._leases = LaneLeases(wiring, sink.name, holder)
        self._calls: Calls[Call] = Calls(sink)
        self._queue = plan.lanes
        self._answered: list[tuple[Call, Answer]] = []
        self._ready: list[LaneWork] = []
        self._ended: list[LaneWork] = []

    def run(self, stopping: Callable[[], bool]) -> None:
        """Work until nothing is left to do.

        Where that fails, the answers of calls under way are awaited and stored all the same, if possible.
        """
        try:
            self._work(stopping)
        except BaseException:
            while len(self._calls):
                self._answered += self._calls.collect()
            with suppress(StorageError):
                transact(self._wiring, self._settle_and_claim, True)
            raise

    def _work(self, stopping: Callable[[], bool]) -> None:
        while True:
            self._take_turn(stopping=stopping())
            self._form_batches()
            if not self._answered:
                self._answered = self._calls.collect()
            if not (self._answered or self._ended or self._queue):
                return

    def close(self) -> None:
        """Wait for the calls under way, and give all lanes back."""
        self._calls.close()
        with suppress(StorageError):
            self._leases.close()

    def _take_turn(self, *, stopping: bool) -> None:
        for again in reversed(range(_BUSY_RETRIES)):
            try:
                transact(self._wiring, self._settle_and_claim, stopping)
            except StorageBusy:
                # The answers of the sink are worth another wait.
                if not again:
                    raise
            else:
                return

    def _settle_and_claim(self, tx: Transaction, stopping: bool) -> None:
        """Store the answers, give back the lanes that have nothing more, and take others.

        Nothing that this object knows is changed before the commit.
        """
        now = self._wiring.now()
        tally, settled, ready = Tally(), list[Call](), list(self._ready)
        queue, ended = list(self._queue), list(self._ended)
        stored = pause = load_pause(tx, self._sink.name)
        for (work, batch), answer in self._answered:
            chance = self._wiring.chance()
            if answer.failure is not None:
                pause = pause.failed(self._policy, now, chance, answer.retry_after)
                tally.failure = answer.failure
            elif batch.entries:
                pause = pause.answered(now)
            not_taken = self._not_taken(work.lane, batch, answer, now, chance)
            if self._leases.held(tx, work.lane) and work.settle(tx, batch, not_taken):
                settled.append((work, batch))
                tally.delivered += len(batch.entries) - len(not_taken)
                tally.not_taken += len(not_taken)
                (ready if work.has_more(tx, now, batch) else ended).append(work)
            else:
                # Somebody took the lane over, or forgot the sink: what was answered is lost.
                self._leases.release(tx, work.lane)
        if pause != stored:
            save_pause(tx, self._sink.name, pause)
        if stopping or pause.holds(now):
            ended, ready, queue = ended + ready, [], []
        slots = (1 if pause.failures else self._sink.concurrency) - len(self._calls)
        tired = [work for work in ready if work.batches >= _TURN_OF_A_LANE] if queue else []
        tired += [work for work in ready if work not in tired][max(slots, 0) :]
        ready = [work for work in ready if work not in tired]
        queue += [work.lane for work in tired]
        ended += tired
        stored_now = [work for work, _ in settled]
        for work in ended:
            if work not in stored_now and self._leases.held(tx, work.lane):
                # Nothing was left in it: remember how far that is true.
                work.settle(tx, Batch(), [])
            self._leases.release(tx, work.lane)
        while queue and len(ready) < slots:
            lane = queue.pop(0)
            if self._leases.take(tx, lane):
                ready.append(LaneWork(self._sink.name, lane, self._sink.batch_size, self._target))
        tx.commit()
        for work, batch in settled:
            work.settled(batch)
        self._tally.delivered += tally.delivered
        self._tally.not_taken += tally.not_taken
        self._tally.failure = tally.failure or self._tally.failure
        self._pause, self._ready, self._queue = pause, ready, queue
        self._answered, self._ended = [], []

    def _form_batches(self) -> None:
        """Read what the lanes that are ready have to do, and begin with it."""
        if not self._ready:
            return
        now = self._wiring.now()
        limit = batch_limit(self._sink.batch_size, self._pause.failures)

        def form(tx: Transaction) -> list[Call]:
            return [(work, work.next_batch(tx, now, limit)) for work in self._ready]

        formed = transact(self._wiring, form, write=False)
        self._ready = []
        for work, batch in formed:
            if batch.entries:
                self._leases.beat()
                self._calls.start(batch.entries, (work, batch))
            elif batch.parked:
                self._answered.append(((work, batch), Answer()))
            else:
                self._ended.append(work)

    def _not_taken(self, lane: int, batch: Batch, answer: Answer, now: datetime, chance: float) -> list[Held]:
        found = list[Held]()
        for entry in batch.entries:
            rejection = answer.rejections.get(entry.id)
            before = batch.held.get(entry.position)
            if before is None:
                before = Held(entry.position, lane, entry.event.ordering_key, 0, now)
            if answer.failure is not None:
                # The whole batch comes back at the same time.
                found.append(self._policy.not_taken(before, now, chance, answer.failure, final=False))
            elif rejection is not None:
                reason = readable(rejection.reason)
                chance_of_its_own = self._wiring.chance()
                found.append(
                    self._policy.not_taken(before, now, chance_of_its_own, reason, final=rejection.final)
                )
        return found
