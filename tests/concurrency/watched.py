"""A storage that tells of each step of an upload, so that a test can stop there, or end the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload
from partner_vouchers.ports import CodeImport, Judge, Storage, Transaction

Reach = Callable[[str], None]
"""Told the name of each step, when it is reached."""

KeepAlive = Callable[[Transaction], None]
Full = Callable[[], tuple[RowFaultKind, str]]


class WatchedStorage:
    """Does what the storage in it does, and tells before and after."""

    def __init__(self, storage: Storage, reach: Reach) -> None:
        self._storage = storage
        self._tell = reach
        self._publishes = False

    def _reach(self, step: str) -> None:
        self._publishes = self._publishes or step == "published, not committed"
        self._tell(step)

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Transaction]:
        with self._storage.begin(write=write) as tx:
            if write:
                self._reach("in a transaction")
            yield tx
        if write:
            self._reach("after publishing" if self._publishes else "after a transaction")
            self._publishes = False

    def join(self, connection: object) -> Storage:
        return self._storage.join(connection)

    @contextmanager
    def import_codes(
        self, upload: Upload, scope: str, counts: Callable[[State], bool]
    ) -> Iterator[CodeImport]:
        with self._storage.import_codes(upload, scope, counts) as importing:
            yield WatchedImport(importing, self._reach)

    def reclaim(self, seconds: float | None = None) -> None:
        self._storage.reclaim(seconds)

    def abandon(self, upload_id: str) -> None:
        self._reach("before clearing away")
        self._storage.abandon(upload_id)
        self._reach("after clearing away")


class WatchedImport:
    """Does what the import in it does, and tells before and after."""

    def __init__(self, importing: CodeImport, reach: Reach) -> None:
        self._importing = importing
        self._reach = reach

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        self._importing.add(lines, codes)
        self._reach("reading")

    def refuse(self, faults: Sequence[RowFault]) -> None:
        self._importing.refuse(faults)

    def check(self, judge: Judge, full: Full) -> None:
        self._importing.check(judge, full)

    def claim(self, judge: Judge, full: Full, keep_alive: KeepAlive) -> None:
        self._importing.claim(judge, full, self._telling("claiming", keep_alive))
        self._reach("claimed")

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        return self._importing.held_before(limit)

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        return self._importing.refused

    def sample(self, limit: int) -> list[RowFault]:
        return self._importing.sample(limit)

    def save_faults(self, keep_alive: KeepAlive) -> None:
        self._importing.save_faults(self._telling("saving refused rows", keep_alive))

    def publish(self, tx: Transaction) -> int:
        self._reach("before publishing")
        published = self._importing.publish(tx)
        self._reach("published, not committed")
        return published

    def _telling(self, step: str, keep_alive: KeepAlive) -> KeepAlive:
        def keep_alive_and_tell(tx: Transaction) -> None:
            keep_alive(tx)
            self._reach(step)

        return keep_alive_and_tell
