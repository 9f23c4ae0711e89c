"""What a backend does with a storage: each job is one call, with all that it touches prepared."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from partner_vouchers import Assignment, Limit
from partner_vouchers.adapters.sqlite import SQLiteStorage, slices
from partner_vouchers.domain.events import CodeRedeemedUndistributed, CodeRevoked
from partner_vouchers.domain.uploads import UploadStatus
from partner_vouchers.usecases import reconciling
from partner_vouchers.usecases.upload_entries import UploadEntries
from tests.concurrency.state import checked
from tests.support.broken_uploads import before_the_file_was_checked, kill
from tests.support.host import EXPIRY, FixedClock, Host, some_codes

SECRET = "SECRET"
"""With this begins every code, so that a text in which one stands can be told."""

# The lists of the prepared storage, and an upload to the second.
WINTER, SPRING, SUMMER, AUTUMN = "1", "2", "3", "4"
SECOND_UPLOAD = "2"

_FRAME = 24 + 2048
_CHECKPOINT_AT = 1000


@dataclass(frozen=True)
class Job:
    """One call.

    Attributes:
        name: what is done.
        act: does it.
        in_steps: whether it works in several transactions, so that it can stop between two.
        in_parts: whether a part of it may be there then, which a repeat completes.
    """

    name: str
    act: Callable[[Host], object]
    in_steps: bool = False
    in_parts: bool = False


def _codes(number: int, prefix: str) -> list[str]:
    return some_codes(number, f"{SECRET}-{prefix}-")


def _small_file(host: Host) -> object:
    return host.upload(WINTER, *_codes(5, "SMALL"), "not a code", *_codes(3, "W"))


def _large_file(host: Host) -> object:
    with slices_of(16):
        return host.upload(WINTER, *_codes(60, "LARGE"), *["not a code"] * 20, *_codes(20, "W"))


def _reserve(host: Host, user_id: str) -> str:
    return host.vouchers.codes.reserve(list_id=SPRING, user_id=user_id, ttl=timedelta(hours=1)).id


def _reserved(host: Host, user_id: str) -> str:
    """Return the id of a reservation in the prepared storage."""
    (reservation,) = host.vouchers.codes.reservations(user_id=user_id)
    return reservation.id


def _held(host: Host, user_id: str, list_id: str = WINTER) -> Assignment:
    (held,) = [each for each in host.vouchers.codes.of_user(user_id) if each.list_id == list_id]
    return held


def _reconcile(host: Host) -> object:
    codes = [*_codes(4, "W")[3:], *_codes(1, "A"), "SECRET-UNKNOWN", *_codes(30, "W")[20:]]
    rows = [f"{code},2026-11-01T12:00:00Z,order-{code}\n" for code in codes]
    with slices_of_rows(4):
        return host.vouchers.redemptions.upload(
            "".join(["code,redeemed_at,order_id\n", *rows]).encode(),
            partner="Puma",
            filename="used.csv",
            uploaded_by="ops",
        )


def _forget(host: Host) -> object:
    # The pseudonym has a random part.
    with patch("partner_vouchers.usecases.taking_back.uuid4", return_value=UUID(int=1)):
        return host.vouchers.codes.forget_user("dan")


def _recover(host: Host) -> object:
    """Do what `recover` does for each upload: it logs the failure of one, and the trial wants to see it."""
    with host.storage.begin(write=False) as tx:
        running = tx.uploads.running()
    return [UploadEntries(host.vouchers._wiring).settle(upload.id) for upload in running]


JOBS = {
    job.name: job
    for job in (
        Job("add a partner", lambda host: host.vouchers.partners.add("Nike")),
        Job(
            "create a list",
            lambda host: host.vouchers.lists.create(partner="Puma", tag="new", name="New", expires_at=EXPIRY),
        ),
        Job("edit a list", lambda host: host.vouchers.lists.edit(WINTER, name="Winter", actor="ann")),
        Job("link a campaign", lambda host: host.vouchers.campaigns.link(WINTER, "CMP2", priority=1)),
        Job("assign", lambda host: host.vouchers.codes.assign(campaign_id="CMP", user_id="zoe")),
        Job(
            "assign with a key",
            lambda host: host.vouchers.codes.assign(list_id=WINTER, user_id="zoe", idempotency_key="order-1"),
        ),
        Job("assign the last code", lambda host: host.give(AUTUMN, "zoe")),
        Job(
            "assign many",
            lambda host: host.vouchers.codes.assign_many([f"user-{n}" for n in range(30)], campaign_id="CMP"),
        ),
        Job("reserve", lambda host: _reserve(host, "zoe")),
        Job("confirm", lambda host: host.vouchers.codes.confirm(_reserved(host, "rob"))),
        Job("release", lambda host: host.vouchers.codes.release(_reserved(host, "ron"))),
        Job("revoke", lambda host: host.vouchers.codes.revoke(_held(host, "bob").id, reason="refund")),
        Job(
            "restock",
            lambda host: host.vouchers.codes.revoke(_held(host, "cid").id, restock=True, force=True),
        ),
        Job("redeem", lambda host: host.vouchers.redemptions.add(_held(host, "ann").code, "order-1")),
        Job(
            "revert",
            lambda host: host.vouchers.redemptions.revert(_held(host, "ann", SPRING).code, "order-2"),
        ),
        Job("reconcile", _reconcile, in_steps=True, in_parts=True),
        Job("forget a user", _forget),
        Job(
            "limit a campaign",
            lambda host: host.vouchers.campaigns.set_limits(
                "CMP", [Limit(9, per="campaign", period="day", zone=UTC)]
            ),
        ),
        Job("withdraw an upload", lambda host: host.vouchers.uploads.withdraw(SECOND_UPLOAD)),
        Job("pause a list", lambda host: host.vouchers.lists.pause(WINTER)),
        Job("archive a list", lambda host: host.vouchers.lists.archive(WINTER)),
        Job("delete a list", lambda host: host.vouchers.lists.delete(SUMMER), in_steps=True),
        Job("upload a small file", _small_file, in_steps=True),
        Job("upload in slices", _large_file, in_steps=True),
        Job("recover an upload", _recover, in_steps=True),
    )
}


def prepare(path: Path, *, checkpoint_due: bool) -> None:
    """Make a storage with lists that have codes, were partly given out, and an upload that was broken off.

    Args:
        path: the database file.
        checkpoint_due: whether the next commit brings the write-ahead log back into the database.
    """
    making = path.with_name("making.db")
    with removed_afterwards(making):
        with closing(SQLiteStorage(making)) as storage:
            host = Host(storage, FixedClock())
            host.a_list(*_codes(40, "W"), "no code", campaign="CMP")
            host.a_list(*_codes(10, "S"))
            host.a_list(*_codes(12, "D"))
            host.a_list(*_codes(2, "A"), low_stock_at=1)
            host.give(WINTER, "ann", "bob", "cid", "dan")
            host.give(SPRING, "ann")
            host.give(AUTUMN, "ann")
            host.vouchers.redemptions.add(_held(host, "ann", SPRING).code, "order-2")
            _reserve(host, "rob")
            _reserve(host, "ron")
            _break_off_an_upload(host)
            if checkpoint_due:
                log = Path(f"{making}-wal")
                for number in range(_CHECKPOINT_AT):
                    if (log.stat().st_size - 32) // _FRAME >= _CHECKPOINT_AT - 1:
                        break
                    with storage.begin() as tx:
                        tx.settings.put("filler", str(number))
                        tx.commit()
                # As a backend leaves it that is killed now.
                copy_database(making, path)
        if not checkpoint_due:
            copy_database(making, path)


def _break_off_an_upload(host: Host) -> None:
    """Leave an upload In Progress whose file was stored whole, as a process does that is killed."""
    kill(host, before_the_file_was_checked, SUMMER, *_codes(6, "R"), *_codes(2, "D"))
    host.clock.advance(minutes=1)


@contextmanager
def slices_of(rows: int) -> Iterator[None]:
    """Let an import do its work in transactions of so many rows, however fast this machine is."""
    with patch.multiple(slices, _FIRST=rows, _SMALLEST=rows, _LARGEST=rows, _PAUSE_SECONDS=0):
        yield


@contextmanager
def slices_of_rows(rows: int) -> Iterator[None]:
    """Let a reconciliation take so many rows in a transaction."""
    with patch.multiple(reconciling, _SMALLEST=rows, _FIRST=rows, _LARGEST=rows, _PAUSE_SECONDS=0):
        yield


def later() -> FixedClock:
    """Return a clock at which the leases of whatever was broken off have ended."""
    clock = FixedClock()
    clock.advance(minutes=1)
    return clock


@contextmanager
def a_host(path: Path, **options: Any) -> Iterator[Host]:
    """Give a backend that works with a database, after what was broken off."""
    with closing(SQLiteStorage(path, **options)) as storage:
        yield Host(storage, later())


def copy_database(source: Path, target: Path) -> None:
    """Copy a database with its write-ahead log, as they are."""
    for suffix in ("", "-wal", "-journal"):
        file = Path(f"{source}{suffix}")
        if file.exists():
            shutil.copyfile(file, f"{target}{suffix}")


@contextmanager
def removed_afterwards(path: Path, copy_of: Path | None = None) -> Iterator[None]:
    """Remove a database with all files beside it in the end. In the beginning, it may be a copy of another one."""
    if copy_of is not None:
        copy_database(copy_of, path)
    try:
        yield
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def goods(host: Host) -> dict[str, object]:
    """Return which codes there are in each list, and who has one; not how they came there."""
    lists = host.vouchers.lists.find(sort="created_at", limit=1000).items
    return {
        view.id: (
            (view.uploaded, view.available, view.reserved, view.distributed, view.withdrawn, view.retired),
            host.left(view.id),
            list(host.vouchers.codes.assignments(view.id)),
        )
        for view in lists
    }


def require_sound(host: Host, path: Path) -> None:
    """Check all lists of a storage, and its file."""
    for view in host.vouchers.lists.find(limit=1000).items:
        checked(host.vouchers, host.storage, view.id)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def require_no_leftovers(host: Host, path: Path) -> None:
    """Check that nothing of broken-off work is left once it was settled: no entry, no list, no code."""
    uploads = [
        upload
        for view in host.vouchers.lists.find(limit=1000).items
        for upload in host.vouchers.uploads.find(list_id=view.id).items
    ]
    assert all(not upload.is_running for upload in uploads)
    stored = sum(upload.accepted for upload in uploads if upload.status is UploadStatus.COMPLETED)
    # A code that returned has a new entry, and a leaked one has none.
    stored += sum(event.restocked for event in host.events(CodeRevoked))
    stored -= len(host.events(CodeRedeemedUndistributed))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM pv_codes").fetchone() == (stored,)
        assert connection.execute("SELECT count(*) FROM pv_lists WHERE removed = 1").fetchone() == (0,)
