"""A host that embeds the library, in short words: its clock, its lists, its uploads, and what it can see."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from threading import Event as Signal
from typing import Any, BinaryIO, TypeVar

from attrs import evolve

from partner_vouchers import ListView, PartnerVouchers, PointsDebited, RepeatPolicy, Status, Upload
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.stock import LowStock
from partner_vouchers.ports import ListOrder, ListQuery, OutboxEntry, Storage
from partner_vouchers.testing import fakes
from partner_vouchers.testing.driver import outbox

E = TypeVar("E", bound=Event)

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
EXPIRY = datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PATIENCE = 30
"""Seconds after which another thread or process is taken to hang."""

_ALL = 100_000


class FixedClock(fakes.FixedClock):
    def __init__(self, now: datetime = START) -> None:
        super().__init__(now)


class Host:
    """A backend with the library in it."""

    def __init__(self, storage: Storage, clock: FixedClock, **policies: Any) -> None:
        self.storage = storage
        self.clock = clock
        self.vouchers = PartnerVouchers(storage, clock=clock, **policies)
        self._tags = (f"tag_{number}" for number in count(1))

    def a_list(
        self,
        *codes: str,
        partner: str = "Puma",
        tag: str | None = None,
        name: str = "Winter Sale",
        description: str = "₹500 off",
        expires_at: datetime = EXPIRY,
        low_stock_at: LowStock | None = None,
        status: Status = Status.ACTIVE,
        campaign: str | None = None,
        repeat: RepeatPolicy = RepeatPolicy.SAME_CODE,
        priority: int = 0,
    ) -> ListView:
        """Create a list with these codes, in a status; an Expired one by letting time pass."""
        lists = self.vouchers.lists
        if all(known.name != partner for known in self.vouchers.partners.all()):
            self.vouchers.partners.add(partner)
        if status is Status.EXPIRED:
            expires_at = self.clock.now + timedelta(seconds=1)
        created = lists.create(
            partner=partner,
            tag=tag or next(self._tags),
            name=name,
            description=description,
            expires_at=expires_at,
            low_stock_at=low_stock_at,
        )
        if codes:
            self.upload(created.id, *codes)
        if campaign is not None:
            self.vouchers.campaigns.link(created.id, campaign, repeat=repeat, priority=priority)
        self.bring(created.id, status)
        return lists.get(created.id)

    def bring(self, list_id: str, status: Status) -> None:
        """Bring an Active list into a status."""
        match status:
            case Status.PAUSED:
                self.vouchers.lists.pause(list_id)
            case Status.ARCHIVED:
                self.vouchers.lists.archive(list_id)
            case Status.EXPIRED:
                self.clock.now = self.vouchers.lists.get(list_id).expires_at + MICROSECOND
            case Status.ACTIVE:
                pass
        assert self.vouchers.lists.get(list_id).status is status

    def upload(self, list_id: str, *codes: str, **options: Any) -> Upload:
        """Upload a file with these rows."""
        return self.upload_file(list_id, a_file(*codes), **options)

    def upload_file(self, list_id: str, content: bytes, **options: Any) -> Upload:
        """Upload a file with this content."""
        described = {"filename": "codes.csv", "uploaded_by": "ops@example.com", **options}
        return self.vouchers.uploads.add(list_id, content, **described)

    def give(self, list_id: str, *users: str) -> list[str]:
        """Assign a code of a list to each of these users; return the codes."""
        return [self.vouchers.codes.assign(list_id=list_id, user_id=user).code for user in users]

    def emit_for(self, user: str) -> None:
        """Store an event of a user: a sink that takes it shows that it works."""
        self.vouchers.events.emit(
            PointsDebited(
                occurred_at=self.clock.now,
                user_id=user,
                wallet_id="W1",
                source="API",
                points=1,
                transaction_id="T1",
            )
        )

    def left(self, list_id: str) -> list[str]:
        """Return the codes of a list that can still be given out, in the order in which they go."""
        with self.storage.begin(write=False) as tx:
            return [taken.code for taken in tx.codes.remaining(list_id, None, _ALL)]

    def outbox(self) -> list[OutboxEntry]:
        """Return all entries of the outbox."""
        return outbox(self.storage)

    def events(self, kind: type[E]) -> list[E]:
        """Return the events of a kind in the outbox."""
        return [entry.event for entry in self.outbox() if isinstance(entry.event, kind)]

    def everything(self) -> dict[str, Any]:
        """Return all that can be read from the storage."""
        everywhere = ListQuery(None, None, None, ListOrder.CREATED, False, None, _ALL)
        events = self.outbox()
        with self.storage.begin(write=False) as tx:
            lists = tx.lists.find(everywhere)
            uploads = {each.id: tx.uploads.find(each.id, None, None, _ALL) for each in lists}
            return {
                "partners": tx.partners.all(),
                "lists": lists,
                "counts": {each.id: tx.codes.counts(each.id) for each in lists},
                "links": {each.id: tx.campaigns.of_list(each.id) for each in lists},
                "left": {each.id: tx.codes.remaining(each.id, None, _ALL) for each in lists},
                "assignments": {each.id: tx.assignments.of_list(each.id, None, _ALL) for each in lists},
                "reservations": {each.id: tx.reservations.of_list(each.id, None, _ALL) for each in lists},
                "uploads": uploads,
                "faults": {
                    upload.id: tx.uploads.faults(upload.id, 0, _ALL)
                    for log in uploads.values()
                    for upload in log
                },
                "limits": {
                    link.campaign_id: tx.limits.get(link.campaign_id)
                    for each in lists
                    for link in tx.campaigns.of_list(each.id)
                },
                "outbox": events,
                "audit": tx.audit.entries(None, None, 0, _ALL),
            }

    def everything_but_ids(self) -> dict[str, Any]:
        """Return `everything`, without the ids of events and of reservations, which have a random part."""
        found = self.everything()
        reservations = [evolve(each, id="") for each in chain(*found["reservations"].values())]
        events = [(entry.position, entry.event) for entry in self.outbox()]
        return found | {"outbox": events, "reservations": reservations}

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        """Make sure that what happens in the context changes nothing that can be read."""
        before = self._everything_committed()
        yield
        assert self._everything_committed() == before

    def _everything_committed(self) -> dict[str, object]:
        # PostgreSQL shows no event while an older transaction is open: they are counted, and not read.
        found = self.everything()
        with self.storage.begin(write=False) as tx:
            found["outbox"] = (
                tx.outbox.count(0, tx.outbox.last_position(), _ALL) + tx.outbox.unordered(_ALL).count
            )
        return found

    @contextmanager
    def a_running_upload(
        self, list_id: str, *codes: str, **options: Any
    ) -> Iterator[tuple[Signal, Future[Upload]]]:
        """Run an upload in a thread, which stops in the middle until the signal is set."""
        reached, go_on = Signal(), Signal()

        def wait(_progress: object) -> None:
            reached.set()
            assert go_on.wait(PATIENCE)

        def run() -> Upload:
            try:
                return self.upload(list_id, *codes, progress=wait, **options)
            finally:
                self.hang_up()

        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(run)
            try:
                while not reached.wait(0.1):
                    assert not running.done(), running.result()
                yield go_on, running
            finally:
                go_on.set()

    def hang_up(self) -> None:
        """Close the connections of this thread, where they belong to it."""
        if isinstance(self.storage, SQLiteStorage):
            self.storage.close()


def wait_until(happens: Callable[[], object], otherwise: str = "it does not come") -> None:
    """Wait until something is so, of which nobody is told."""
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.005)


def a_file(*rows: str) -> bytes:
    """Return a CSV file with these rows."""
    return "".join(f"{row}\n" for row in rows).encode()


def rows_of(stream: BinaryIO) -> list[list[str]]:
    """Return the rows of a CSV file."""
    return list(csv.reader(io.StringIO(stream.read().decode(), newline="")))


def some_codes(number: int, prefix: str = "PM") -> list[str]:
    """Return different codes, in order."""
    return [f"{prefix}{index:06}" for index in range(number)]
