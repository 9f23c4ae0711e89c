"""Processes are killed while they do all that a backend does, and the server of their storage is killed too.

What they were told is stored, and nothing is stored twice.

A short form of `python -m tests.reliability kills`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.reliability.kills import STAFF, run_kills, run_server_kills
from tests.support.postgres import Server


def test_what_was_told_stands_after_kills(tmp_path: Path) -> None:
    town = run_kills(f"sqlite {tmp_path / 'vouchers.db'}", tmp_path, random.Random(1), 40, check_every=20)
    assert town.kills.total() >= 40
    assert all(town.told[work] and town.kills[work] for work in STAFF.values())


@pytest.mark.deep
def test_what_was_told_stands_after_kills_of_processes_and_of_their_server(
    tmp_path: Path, own_server: Server
) -> None:
    town = run_server_kills(own_server, tmp_path, random.Random(1), 24, strikes=1, check_every=24)
    assert town.kills.total() >= 24
    assert town.strikes is not None
    assert town.strikes.kills.total() >= 1
    assert town.outlived == len(town.workers)
    assert all(town.told[work] for work in STAFF.values())


@pytest.mark.deep
def test_a_server_that_tells_of_commits_before_they_are_on_disk_would_be_found(
    tmp_path: Path, own_server: Server
) -> None:
    with pytest.raises(AssertionError):
        run_server_kills(
            own_server,
            tmp_path,
            random.Random(1),
            6,
            strikes=20,
            check_every=6,
            options="-c synchronous_commit=off",
        )


def test_a_storage_that_gives_what_it_took_in_another_transaction_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.db"
    with pytest.raises(AssertionError) as found:
        run_kills(
            f"sqlite {path}", tmp_path, random.Random(1), 300, check_every=20, of_workers=f"torn {path}"
        )
    # The check finds the half, or a worker meets it first.
    assert found.traceback[-1].name == "checked" or "ended by itself" in str(found.value)
