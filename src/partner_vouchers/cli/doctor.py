"""What `doctor` looks for."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from partner_vouchers.cli.context import is_postgres, opened
from partner_vouchers.cli.output import in_seconds
from partner_vouchers.cli.wording import message_of
from partner_vouchers.domain.uploads import UploadStatus
from partner_vouchers.errors import InvalidInput, StorageError, StorageNotMigrated
from partner_vouchers.vouchers import PartnerVouchers

_FUTURE = timedelta(minutes=5)


@frozen
class Finding:
    """Something that needs attention.

    Attributes:
        problem: what is wrong.
        subject: where.
        advice: what to do.
    """

    problem: str
    subject: str
    advice: str


def examine(database: str, *, days: timedelta, patience: timedelta) -> list[Finding]:
    """Return what needs attention in a storage.

    Args:
        database: an SQLite file, or the address of a PostgreSQL database.
        days: how far ahead to look for lists that run dry or expire.
        patience: how long an upload may be in progress, and an event undelivered.
    """
    try:
        with opened(database) as vouchers:
            vouchers.check()
            found = [] if is_postgres(database) else list(_integrity(database))
            now = datetime.now(UTC)  # noqa: TID251 - the clock of this machine is what is examined
            found += [
                *_clock(vouchers, now),
                *_uploads(vouchers, now, patience),
                *_delivery(vouchers, patience),
                *_lists(vouchers, now, days),
            ]
            return found
    except InvalidInput:
        raise
    except StorageNotMigrated as error:
        return [Finding("the tables are missing or too old", _without_password(database), message_of(error))]
    except StorageError as error:
        return [Finding("the storage cannot be used", _without_password(database), str(error))]


def _without_password(database: str) -> str:
    """Return the address of a database without the user, the password and the parameters."""
    if not is_postgres(database):
        return database
    return re.sub(r"://.*@", "://", database).partition("?")[0]


def _integrity(path: str) -> Iterator[Finding]:
    connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
    try:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.Error as error:
        found = [str(error)]
    finally:
        connection.close()
    if found != ["ok"]:
        yield Finding(
            "the file is damaged",
            path,
            "stop all programs that use it and restore a backup: " + "; ".join(found[:3]),
        )


def _clock(vouchers: PartnerVouchers, now: datetime) -> Iterator[Finding]:
    newest = [
        *(found.updated_at for found in vouchers.lists.find(sort="-updated_at", limit=1)),
        *(upload.started_at for upload in vouchers.uploads.find(limit=1)),
    ]
    ahead = max(newest, default=now) - now
    if ahead > _FUTURE:
        yield Finding(
            "the newest change is dated in the future",
            f"by {in_seconds(ahead)}",
            "compare the clocks of this machine and of those that run your backend",
        )


def _uploads(vouchers: PartnerVouchers, now: datetime, patience: timedelta) -> Iterator[Finding]:
    for upload in vouchers.uploads.find(status=UploadStatus.IN_PROGRESS, limit=100):
        if now - upload.started_at > patience:
            yield Finding(
                "an upload is in progress for too long",
                f"upload {upload.id} of list {upload.list_id}",
                "run `partner-vouchers uploads --recover`",
            )


def _delivery(vouchers: PartnerVouchers, patience: timedelta) -> Iterator[Finding]:
    for name in vouchers.events.sinks():
        backlog = vouchers.events.backlog(name)
        if backlog.dead_letters:
            yield Finding(
                "dead letters",
                f"sink {name}: {backlog.dead_letters:,}",
                f"look at them with `partner-vouchers events dead {name}`, then `events retry`",
            )
        if backlog.age > patience:
            yield Finding(
                "events wait for too long",
                f"sink {name}: {backlog.undelivered:,}, the oldest for {in_seconds(backlog.age)}",
                "check that a relay runs, and what the sink answers",
            )


def _lists(vouchers: PartnerVouchers, now: datetime, days: timedelta) -> Iterator[Finding]:
    after = None
    while True:
        page = vouchers.lists.find(status="Active", sort="expires_at", after=after, limit=1000)
        for each in page:
            if each.expires_at - now <= days:
                yield Finding(
                    "a list expires soon",
                    f"list {each.id} ({each.name}), {each.expires_at:%Y-%m-%d %H:%M}",
                    f"extend it: `partner-vouchers edit {each.id} --expires DATE`",
                )
            if each.campaigns and not each.available:
                yield Finding("a list has no code left", f"list {each.id} ({each.name})", "upload more codes")
            elif each.campaigns:
                stock = vouchers.lists.stock(each.id)
                if stock.runs_dry_on is not None and stock.runs_dry_on <= (now + days).date():
                    yield Finding(
                        "a list runs dry soon",
                        f"list {each.id} ({each.name}), about {stock.runs_dry_on}",
                        "upload more codes",
                    )
        if page.next is None:
            return
        after = page.next
