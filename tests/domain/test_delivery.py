from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.delivery import (
    Deferred,
    DeliveryState,
    Pause,
    RetryPolicy,
    SinkProgress,
    batch_limit,
    state_of,
)
from tests.domain.examples import NOW


@given(st.data())
def test_progress_is_what_is_settled(data: st.DataObject) -> None:
    """Beside a plain set of settled positions, however they are read and in whatever order they are settled."""
    outbox = sorted(data.draw(st.sets(st.integers(1, 40), max_size=20)))
    settled = set[int]()
    progress = SinkProgress()
    for _ in range(data.draw(st.integers(1, 8))):
        # Each round is another process, which begins where the last one ended.
        behind = [position for position in outbox if position > progress.position]
        window = behind[: data.draw(st.integers(0, 20))]
        reached = (window[-1] if window else progress.position) if len(window) < len(behind) else 40
        settled |= {position for position in window if progress.is_settled(position)}
        settled |= data.draw(st.sets(st.sampled_from(window))) if window else set()
        still_open = {position for position in window if position not in settled}
        progress = progress.read(window, still_open, reached)
        for position in outbox:
            assert progress.is_settled(position) == (position in settled)
        for first, last in progress.ahead:
            assert progress.position < first <= last


@pytest.mark.parametrize(
    "position,state",
    [
        (4, DeliveryState.DELIVERED),
        (5, DeliveryState.IN_FLIGHT),
        (6, DeliveryState.DELIVERED),
        (7, DeliveryState.IN_FLIGHT),
        (8, DeliveryState.WAITING),
    ],
)
def test_each_event_has_one_state_for_a_sink(position: int, state: DeliveryState) -> None:
    progress = SinkProgress(4, ahead=((6, 6),), sent=7)
    assert state_of(position, progress, None) is state
    for stored in (DeliveryState.DEFERRED, DeliveryState.IN_FLIGHT, DeliveryState.DEAD):
        row = Deferred(position, "id", "user:ann", stored)
        assert state_of(position, progress, row) is stored
        assert row.is_dead == (stored is DeliveryState.DEAD)


@pytest.mark.parametrize("final", [True, False])
def test_an_event_that_is_blamed_too_often_or_finally_is_dead(final: bool) -> None:
    policy, row = RetryPolicy(max_attempts=3), Deferred(7, "id", "user:ann", retry_at=NOW, reason="busy")
    first = policy.counted(row, NOW, 1.0, final=final)
    if final:
        assert first == evolve(row, state=DeliveryState.DEAD, attempts=1, retry_at=None)
        return
    assert first == evolve(row, attempts=1, retry_at=NOW + timedelta(seconds=1))
    second = policy.counted(first, NOW, 1.0, final=final)
    assert second == evolve(row, attempts=2, retry_at=NOW + timedelta(seconds=2))
    assert policy.counted(second, NOW, 1.0, final=final).is_dead


def test_a_batch_that_fails_is_halved_down_to_one() -> None:
    assert [batch_limit(100, failures) for failures in (0, 1, 2, 6, 7, 30)] == [100, 50, 25, 1, 1, 1]


@pytest.mark.parametrize(
    "attempts, longest", [(1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (10_000, 3600)]
)
def test_waits_double_up_to_the_longest(attempts: int, longest: int) -> None:
    policy = RetryPolicy()
    assert policy.wait(attempts, 1.0) == timedelta(seconds=longest)
    assert policy.wait(attempts, 0.0) == timedelta(seconds=longest) / 2


# --- how long a sink that fails is left alone -------------------------------------------------------------


POLICY = RetryPolicy()
SECOND = timedelta(seconds=1)


def test_a_wait_lies_between_nothing_and_a_year() -> None:
    for right in (timedelta(), timedelta(days=365)):
        assert RetryPolicy(first_wait=right, longest_wait=right, longest_pause=right).longest_pause == right
    assert RetryPolicy(max_attempts=1).max_attempts == 1


def test_a_pause_ends_at_its_instant() -> None:
    pause = Pause(1, NOW + SECOND)
    assert pause.holds(NOW)
    assert not pause.holds(NOW + SECOND)
    assert not Pause().holds(NOW)


def test_a_sink_is_left_alone_longer_with_each_failure_in_a_row() -> None:
    first = Pause().failed(POLICY, NOW, 1.0, None)
    assert first == Pause(1, NOW + SECOND)
    assert first.failed(POLICY, NOW + SECOND, 1.0, None) == Pause(2, NOW + 3 * SECOND)
    assert Pause(50, NOW).failed(POLICY, NOW, 1.0, None) == Pause(51, NOW + POLICY.longest_pause)


@pytest.mark.parametrize(
    "asked, waits",
    [(-1, 1), (0, 1), (0.5, 1), (2.5, 2.5), (3600, 3600), (9999, 3600)],
)
def test_a_sink_may_ask_for_a_longer_pause(asked: float, waits: float) -> None:
    assert Pause().failed(POLICY, NOW, 1.0, asked) == Pause(1, NOW + timedelta(seconds=waits))


def test_a_sink_without_waits_may_ask_for_a_short_one() -> None:
    at_once = RetryPolicy(first_wait=timedelta())
    assert Pause().failed(at_once, NOW, 1.0, 0.5) == Pause(1, NOW + SECOND / 2)


def test_calls_that_fail_together_are_one_failure() -> None:
    pause = Pause(3, NOW + 10 * SECOND)
    assert pause.failed(POLICY, NOW, 1.0, None) == pause
    assert pause.failed(POLICY, NOW, 1.0, 5) == pause
    assert pause.failed(POLICY, NOW, 1.0, 60) == Pause(3, NOW + 60 * SECOND)


def test_an_answer_ends_the_failures_but_no_pause() -> None:
    pause = Pause(3, NOW + SECOND)
    assert pause.answered(NOW) == pause
    assert pause.answered(NOW + SECOND) == Pause()
