"""How long a sink that fails is left alone, and how few events are then tried at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers.domain.delivery import Pause, RetryPolicy
from partner_vouchers.errors import InvalidInput
from tests.domain.examples import MICROSECOND, NOW

POLICY = RetryPolicy()
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("name", ["first_wait", "longest_wait", "longest_pause"])
def test_a_wait_lies_between_nothing_and_a_year(name: str) -> None:
    for right in (timedelta(), timedelta(days=365)):
        bound: dict[str, Any] = {name: right}
        assert getattr(RetryPolicy(**bound), name) == right
    for wrong in (-MICROSECOND, timedelta(days=365) + MICROSECOND, timedelta.max, 5):
        beyond: dict[str, Any] = {name: wrong}
        with pytest.raises(InvalidInput) as refused:
            RetryPolicy(**beyond)
        assert str(refused.value) == f"{name}: must be a timedelta from zero to 365 days"


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "3"], ids=repr)
def test_an_event_is_tried_at_least_once(wrong: Any) -> None:
    assert RetryPolicy(max_attempts=1).max_attempts == 1
    with pytest.raises(InvalidInput) as refused:
        RetryPolicy(max_attempts=wrong)
    assert str(refused.value) == "max_attempts: must be a whole number, at least 1"


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
