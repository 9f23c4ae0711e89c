"""The power is cut: what was acknowledged is there, and what was in flight is there whole or not at all.

A short form of `python -m tests.reliability power`.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.reliability.power import DAY, cut_the_power, cut_the_power_while_creating, record


@pytest.mark.parametrize(
    "storage, step", [("prepared", 61), pytest.param("prepared_with_log", 29, marks=pytest.mark.deep)]
)
def test_what_was_acknowledged_survives_a_loss_of_power(
    request: pytest.FixtureRequest, tmp_path: Path, storage: str, step: int
) -> None:
    session = record(request.getfixturevalue(storage), tmp_path, DAY, "FULL")
    figures = Counter[str]()
    cut_the_power(session, tmp_path, random.Random(1), figures, step=step)
    assert figures["cuts"] > 10


def test_without_a_sync_at_each_commit_the_last_ones_may_be_lost_and_nothing_else(
    prepared: Path, tmp_path: Path
) -> None:
    session = record(prepared, tmp_path, DAY, "NORMAL")
    cut_the_power(session, tmp_path, random.Random(1), Counter(), step=61, last_may_be_lost=True)
    with pytest.raises(AssertionError, match="not what was there"):
        cut_the_power(session, tmp_path, random.Random(1), Counter(), step=11)


def test_a_loss_of_power_while_a_storage_is_created_does_no_harm(prepared: Path, tmp_path: Path) -> None:
    figures = Counter[str]()
    cut_the_power_while_creating(tmp_path, random.Random(3), figures, step=11)
    assert figures["cuts"] > 3
