"""Processes are killed while they assign and upload: what they were told stands, and nothing is there twice.

A short form of `python -m tests.reliability kills`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.reliability.kills import run_kills


def test_what_was_told_stands_after_kills(tmp_path: Path) -> None:
    town = run_kills(f"sqlite {tmp_path / 'vouchers.db'}", tmp_path, random.Random(), 40, check_every=20)
    assert town.kills.total() >= 40
    assert town.told.keys() == town.in_flight.keys() == {"assign", "upload", "deliver"}


def test_a_storage_that_gives_what_it_took_in_another_transaction_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.db"
    with pytest.raises(AssertionError) as found:
        run_kills(f"sqlite {path}", tmp_path, random.Random(), 300, check_every=20, of_workers=f"torn {path}")
    assert found.traceback[-1].name == "checked"
