"""Run threads one at a time, and let an adversary choose at each step which one goes on.

A thread can be stopped before each line of the library's code, or before each call of it, and at each lock that it
takes. The adversary is random, or follows "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs"
(Burckhardt and others, ASPLOS 2010): the thread of the highest priority runs, and at a few random steps it drops to
the lowest. A seed tells the whole schedule.
"""

from __future__ import annotations

import _thread
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, Literal, Protocol
from unittest.mock import patch

import partner_vouchers

Grain = Literal["lines", "calls"]
"""Before what a thread may be stopped."""

GRAINS: tuple[Grain, ...] = ("lines", "calls")

_LIBRARY = str(Path(partner_vouchers.__file__).parent)
# What is decided and read there is of one thread alone.
_APART = tuple(str(Path(_LIBRARY, room)) for room in ("domain", "csvfile", "errors.py", "wire"))
_MODULES_WITH_BELLS = ("locks",)
_MODULES_WITH_CLOCKS = ("adapters.sqlite.driver", "adapters.sqlite.slices")

_MOST_STEPS = 200_000


class Deadlock(AssertionError):
    """Nobody can go on."""


class Adversary(Protocol):
    """Chooses who goes on."""

    def choose(self, able: Sequence[int], current: int) -> int:
        """Return one of those who are able to go on; `current` may not be one of them."""
        ...

    def gave_way(self, thread: int) -> None:
        """Hear that a thread waits for others by looking again and again."""
        ...


class AtRandom:
    """Goes on with the same thread mostly, and with any other now and then."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._share = chance.choice((0.5, 0.1, 0.02))

    def choose(self, able: Sequence[int], current: int) -> int:
        if current in able and self._chance.random() > self._share:
            return current
        return self._chance.choice(able)

    def gave_way(self, thread: int) -> None:
        pass


class ByPriority:
    """Goes on with the thread of the highest priority, which drops to the lowest at a few random steps."""

    def __init__(self, chance: random.Random, threads: int, steps: int, drops: int) -> None:
        order = chance.sample(range(threads), threads)
        self._priority = {thread: order[thread] for thread in range(threads)}
        self._drops = {chance.randrange(max(steps, 1)) for _ in range(drops)}
        self._step = 0

    def choose(self, able: Sequence[int], current: int) -> int:
        self._step += 1
        if self._step in self._drops:
            self.gave_way(current)
        return max(able, key=lambda thread: self._priority[thread])

    def gave_way(self, thread: int) -> None:
        self._priority[thread] = min(self._priority.values()) - 1


class _State(Enum):
    ABLE = auto()
    BLOCKED = auto()
    GAVE_WAY = auto()
    ENDED = auto()


class _Stopped(BaseException):
    """Ends a thread of a run that has failed."""


class Scheduler:
    """Runs jobs in threads of which one at a time goes on."""

    def __init__(self, adversary: Adversary, grain: Grain) -> None:
        self._adversary = adversary
        self._grain = grain
        self._states: list[_State] = []
        self._batons: list[_thread.LockType] = []
        self._numbers: dict[int, int] = {}
        self._failure: BaseException | None = None
        self.steps = 0

    def run(self, jobs: Sequence[Callable[[], object]]) -> list[object]:
        """Run jobs to their ends; return what each returned or raised.

        What they share is made, and they run, while the scheduler is `installed`.

        Raises:
            Deadlock: all that have not ended wait for one another.
        """
        self._states = [_State.ABLE] * len(jobs)
        self._batons = [_thread.allocate_lock() for _ in jobs]
        for baton in self._batons:
            baton.acquire()
        results: list[object] = [None] * len(jobs)
        threads = [
            threading.Thread(target=self._live, args=(number, job, results))
            for number, job in enumerate(jobs)
        ]
        # What the garbage collector finalizes would run at moments that no seed tells.
        gc.disable()
        try:
            for thread in threads:
                thread.start()
            self._hand_over(-1)
            for thread in threads:
                thread.join()
        finally:
            gc.enable()
        if self._failure is not None:
            raise self._failure
        return results

    def pause(self) -> None:
        """Let the adversary decide whether this thread goes on now."""
        me = self._me()
        if me is not None:
            self._yield(me, _State.ABLE)

    def sleep(self, seconds: float) -> None:
        """Give way to others, as somebody does who waits for them."""
        me = self._me()
        if me is not None:
            self._adversary.gave_way(me)
            self._yield(me, _State.GAVE_WAY)

    def wait(self) -> None:
        """Go on only after somebody called `wake`."""
        me = self._me()
        if me is None:
            raise Deadlock("a lock is held that nobody will release")
        self._yield(me, _State.BLOCKED)

    def wake(self) -> None:
        """Let all look again who wait for a lock."""
        self._states = [_State.ABLE if state is _State.BLOCKED else state for state in self._states]

    def _live(self, number: int, job: Callable[[], object], results: list[object]) -> None:
        self._numbers[threading.get_ident()] = number
        self._batons[number].acquire()
        try:
            sys.settrace(self._trace)
            try:
                results[number] = job()
            except Exception as error:  # noqa: BLE001 - it is the result
                results[number] = error
            finally:
                sys.settrace(None)
        except _Stopped:
            pass
        finally:
            self._states[number] = _State.ENDED
            del self._numbers[threading.get_ident()]
            if self._failure is None:
                self._hand_over(number)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARY) or file.startswith(_APART):
            return None
        self.pause()
        return self._trace_lines if self._grain == "lines" else None

    def _trace_lines(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.pause()
        return self._trace_lines

    def _me(self) -> int | None:
        return self._numbers.get(threading.get_ident())

    def _yield(self, me: int, state: _State) -> None:
        if self._failure is not None:
            raise _Stopped
        self.steps += 1
        if self.steps > _MOST_STEPS:
            self._fail(Deadlock("they give way to one another for ever"))
        self._states[me] = state
        self._hand_over(me)
        self._batons[me].acquire()
        if self._failure is not None:
            raise _Stopped
        self._states[me] = _State.ABLE

    def _hand_over(self, current: int) -> None:
        able = [number for number, state in enumerate(self._states) if state is _State.ABLE]
        if not able:
            able = [number for number, state in enumerate(self._states) if state is _State.GAVE_WAY]
        else:
            # Something happens now; who gave way may look again.
            self._states = [_State.ABLE if state is _State.GAVE_WAY else state for state in self._states]
        if able:
            self._batons[self._adversary.choose(able, current)].release()
        elif any(state is _State.BLOCKED for state in self._states):
            self._fail(Deadlock("all wait for locks"))

    def _fail(self, failure: BaseException) -> None:
        """End all threads where they stand."""
        self._failure = self._failure or failure
        for number, state in enumerate(self._states):
            if state is not _State.ENDED and self._batons[number].locked():
                self._batons[number].release()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Give the library locks and waits that ask the adversary."""
        bell = partial(CooperativeBell, self)
        clocks = SimpleNamespace(sleep=self.sleep, monotonic=time.monotonic, perf_counter=time.perf_counter)
        with patched(_MODULES_WITH_BELLS, "SimpleQueue", bell), patched(_MODULES_WITH_CLOCKS, "time", clocks):
            yield


class CooperativeBell:
    """A queue as `queue.SimpleQueue` makes them, whose waiting the adversary knows of."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._rung = 0

    def put(self, _item: object) -> None:
        self._rung += 1
        self._scheduler.wake()
        self._scheduler.pause()

    def get(self, timeout: float | None = None) -> None:
        while not self._rung:
            self._scheduler.wait()
        self._rung -= 1


@contextmanager
def patched(modules: Sequence[str], name: str, value: object) -> Iterator[None]:
    """Replace what modules of the library import under a name."""
    if not modules:
        yield
        return
    with patch(f"partner_vouchers.{modules[0]}.{name}", value), patched(modules[1:], name, value):
        yield
