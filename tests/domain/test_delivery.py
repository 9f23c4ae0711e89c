from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.delivery import LANES, Progress, RetryPolicy, lane_of_key


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_every_key_has_a_lane(key: str) -> None:
    assert lane_of_key(key) in range(LANES)


def test_lanes_never_change() -> None:
    # Storages keep them.
    assert [lane_of_key(key) for key in ("", "user:ann", "user:Jörg", "list:7")] == [0, 9, 1, 6]


@given(st.data())
def test_progress_is_what_is_settled(data: st.DataObject) -> None:
    """Beside a plain set of settled positions, however they are read and in whatever order they are settled."""
    lane = sorted(data.draw(st.sets(st.integers(1, 40), max_size=20)))
    settled = set[int]()
    progress = Progress()
    for _ in range(data.draw(st.integers(1, 8))):
        behind = [position for position in lane if position > progress.position]
        window = behind[: data.draw(st.integers(1, 20))]
        reached = window[-1] if len(window) < len(behind) else 40
        now = data.draw(st.sets(st.sampled_from(window))) if window else set[int]()
        progress = progress.settle(window, reached, now)
        settled |= now
        for position in lane:
            known = position <= progress.position or position in progress.ahead
            assert known == (position in settled)
        assert list(progress.ahead) == sorted(set(progress.ahead))
        assert all(position > progress.position for position in progress.ahead)


@pytest.mark.parametrize(
    "attempts, longest", [(1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (10_000, 3600)]
)
def test_waits_double_up_to_the_longest(attempts: int, longest: int) -> None:
    policy = RetryPolicy()
    assert policy.wait(attempts, 1.0) == timedelta(seconds=longest)
    assert policy.wait(attempts, 0.0) == timedelta(seconds=longest) / 2
