"""Threads under an adversary: whoever goes on when, calls made at once come to what they come to in some order.

A short form of `python -m tests.reliability schedules`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.locks import QueueLock
from partner_vouchers.ports.codes import NOTHING, Holding
from tests.reliability.scheduler import AtRandom, CooperativeBell, Deadlock, Scheduler
from tests.reliability.schedules import Figures, Scene, Shops, explore

BACKENDS = ["memory", "sqlite"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scenes", [6, pytest.param(40, marks=pytest.mark.deep)])
def test_calls_made_at_once_come_to_what_they_come_to_in_some_order(
    backend: str, scenes: int, tmp_path: Path
) -> None:
    figures = Figures()
    explore(Shops(backend, tmp_path), random.Random(scenes), figures, scenes=scenes, schedules=5)
    assert figures.schedules[backend] == 5 * scenes


# --- would it be seen? -----------------------------------------------------------------------------------------


def holding_of(held: Assignment | None) -> Holding:
    return NOTHING if held is None else Holding(held, held.ordinal)


class _ReadsBefore:
    """A storage whose writers know only from an earlier transaction who has a code."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Any]:
        with self._storage.begin(write=False) as tx:
            known = {held.user_id: held for each in "12" for held in tx.assignments.of_list(each, None, 9)}
        with self._storage.begin(write=write) as tx:
            yield _With(
                tx,
                assignments=_With(tx.assignments, holding=lambda user_id, *_: holding_of(known.get(user_id))),
            )


class _With:
    """Something of which some attributes are replaced."""

    def __init__(self, thing: Any, **replaced: Any) -> None:
        self._thing = thing
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._thing, name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_storage_that_reads_in_one_transaction_and_takes_in_another_would_be_found(
    backend: str, tmp_path: Path
) -> None:
    shops = Shops(backend, tmp_path, _ReadsBefore)
    with pytest.raises(AssertionError) as found:
        explore(
            shops,
            random.Random(1),
            Figures(),
            scenes=1,
            schedules=100,
            of=["assign to ann", "assign to ann too"],
        )
    assert "schedule" in found.value.__notes__[0]


def test_transactions_in_memory_without_turns_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueueLock, "acquire", lambda self, place, timeout: True)
    with pytest.raises(AssertionError):
        explore(Shops("memory", tmp_path), random.Random(2), Figures(), scenes=50, schedules=10)


# --- the scheduler ---------------------------------------------------------------------------------------------


def test_a_seed_tells_the_whole_schedule(tmp_path: Path) -> None:
    scene = Scene(Shops("memory", tmp_path), ["upload to one", "upload to two", "assign to ann"])
    steps: list[int] = []
    for seed in (1, 1, 2):
        figures = Figures()
        scene.play(AtRandom(random.Random(seed)), "lines", figures)
        steps.append(figures.steps)
    assert steps[0] == steps[1] != steps[2]


def test_threads_that_wait_for_one_another_are_found() -> None:
    scheduler = Scheduler(AtRandom(random.Random(1)), "calls")
    one, two = CooperativeBell(scheduler), CooperativeBell(scheduler)
    with pytest.raises(Deadlock):
        scheduler.run([one.get, two.get])
