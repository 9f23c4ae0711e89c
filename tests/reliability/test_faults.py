"""The disk fails while the library works: each call is done or not done, is told by a typed error, and all goes on.

A short form of `python -m tests.reliability faults`, which lets each single call of SQLite's fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from partner_vouchers.adapters.sqlite.codes import SQLiteAssignments
from partner_vouchers.adapters.sqlite.contexts import WriteContext
from partner_vouchers.domain.assignment import Assignment
from tests.reliability.faults import FAULTS, Figures, Trial, delivering, let_each_call_fail, opening
from tests.reliability.jobs import JOBS

STEP, FEWER = 29, 61
"""Of so many calls one fails."""


SOME = {"assign with a key", "restock", "reconcile", "upload in slices", "delete a list"}
"""Jobs of each kind; all of them with `-m deep`."""


@pytest.mark.parametrize(
    "job", [pytest.param(job, marks=() if job in SOME else pytest.mark.deep) for job in JOBS]
)
def test_what_meets_a_failing_disk_is_done_or_not_done(prepared: Path, tmp_path: Path, job: str) -> None:
    trial = Trial(JOBS[job], prepared, tmp_path)
    for first, fault in enumerate(reversed(FAULTS.values())):
        figures = Figures()
        let_each_call_fail(trial, fault, figures, first=first, step=FEWER)
        assert figures.faults.total() > 0


def test_a_commit_that_also_brings_the_log_back_is_done_or_not_done(
    prepared_with_log: Path, tmp_path: Path
) -> None:
    trial = Trial(JOBS["assign"], prepared_with_log, tmp_path)
    for first, fault in enumerate(reversed(FAULTS.values())):
        figures = Figures()
        let_each_call_fail(trial, fault, figures, first=first, step=STEP)
        # Once the commit is in the log, it counts, whatever becomes of the rest.
        assert figures.outcomes["done"]
        assert figures.outcomes.total() > figures.outcomes["done"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_storage_that_could_not_be_created_can_be_created_later(
    prepared: Path, tmp_path: Path, fault: str
) -> None:
    figures = Figures()
    let_each_call_fail(opening(tmp_path), FAULTS[fault], figures, step=STEP)
    assert figures.faults.total() > 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_delivery_that_meets_a_failing_disk_goes_on_later(
    prepared: Path, tmp_path: Path, fault: str
) -> None:
    figures = Figures()
    let_each_call_fail(delivering(prepared, tmp_path), FAULTS[fault], figures, step=STEP // 3)
    assert figures.faults.total() > 1


# --- would it be seen? -----------------------------------------------------------------------------------------


def test_a_commit_whose_failure_is_swallowed_would_be_found(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(self: WriteContext) -> None:
        with suppress(sqlite3.Error):
            honest(self)

    honest = WriteContext._do_commit
    monkeypatch.setattr(WriteContext, "_do_commit", commit)
    trial = Trial(JOBS["assign"], prepared, tmp_path)
    with pytest.raises(AssertionError, match="neither all nor nothing"):
        let_each_call_fail(trial, FAULTS["I/O error"], Figures())


def test_a_code_that_is_taken_in_a_transaction_of_its_own_would_be_found(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(self: SQLiteAssignments, assignments: Sequence[Assignment]) -> None:
        self._db.change("COMMIT")
        self._db.change("BEGIN IMMEDIATE")
        honest(self, assignments)

    honest = SQLiteAssignments.add
    monkeypatch.setattr(SQLiteAssignments, "add", add)
    trial = Trial(JOBS["assign"], prepared, tmp_path)
    with pytest.raises(AssertionError, match="neither all nor nothing"):
        let_each_call_fail(trial, FAULTS["I/O error"], Figures())
