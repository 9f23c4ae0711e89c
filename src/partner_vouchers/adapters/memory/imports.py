"""How the codes of an upload come into a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from partner_vouchers import ports
from partner_vouchers.adapters.memory.tables import Batch, Place, Tables
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.adapters.memory.unit import UndoLog
from partner_vouchers.adapters.simple import SimpleImport
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError, UploadInterrupted
from partner_vouchers.locks import Recoverable
from partner_vouchers.ports import Judge

SLICE = 2_000
"""How many codes are claimed in one transaction: about a millisecond, for which others wait."""

Full = Callable[[], tuple[RowFaultKind, str]]
KeepAlive = Callable[[ports.Transaction], None]


class MemoryImport(Recoverable, SimpleImport):
    """The codes of one upload on their way into a list.

    A claimed code is entered among the owners of its scope at once, as one of a batch that is not published.
    Other imports respect it from then on; no other transaction sees it. If the batch is abandoned, its entries are
    left behind, and the next import of such a code takes it over. So no claim has to be undone.
    """

    def __init__(
        self,
        storage: ports.Storage,
        tables: Tables,
        upload: Upload,
        scope: str,
        counts: Callable[[State], bool],
    ) -> None:
        super().__init__(storage, upload, scope, counts)
        self._tables = tables
        self._batch = Batch(upload.list_id)
        self._surplus: dict[str, int] = {}
        self._reserved: set[str] = set()

    def check(self, judge: Judge, full: Full) -> None:
        own: dict[str, Place] = {}
        for start in range(0, len(self._rows), SLICE):
            with self.storage.begin():
                self._sift(start, own, judge, full)

    def claim(self, judge: Judge, full: Full, keep_alive: KeepAlive) -> None:
        for start in range(0, len(self._rows), SLICE):
            with self.storage.begin() as tx:
                if start == 0:
                    keep_alive(tx)
                    earlier = self._tables.batches.get(self.upload.id)
                    if earlier is not None:
                        earlier.give_up()
                    _log(tx).put(self._tables.batches, self.upload.id, self._batch)
                self._require_not_given_up()
                self._sift(start, self._tables.owners.setdefault(self.scope, {}), judge, full)
                keep_alive(tx)
                tx.commit()
        self._is_claimed = True

    def store_faults(self, tx: ports.Transaction, faults: Sequence[RowFault]) -> None:
        # A list takes its uploads with it: without it there is no entry to keep anything with.
        self._tables.list(self.upload.list_id)
        _log(tx).put(self._tables.faults, self.upload.id, list(faults))

    def publish(self, tx: ports.Transaction) -> int:
        if not isinstance(tx, MemoryTransaction) or tx.unit.tables is not self._tables:
            raise StorageError(reason="publish in a transaction of the storage that the import belongs to")
        if not self._is_claimed or self._batch.published:
            raise StorageError(reason="publish once, after claim has come to its end")
        self._require_not_given_up()
        tables, log, batch = self._tables, tx.unit.log, self._batch
        tx.unit.count(batch.list_id, uploaded=len(batch.codes))
        batch.first_id = tables.next_code_id
        tables.next_code_id += len(batch.codes)
        log.set(batch, "published", True)
        log.append(tables.stocks[batch.list_id].batches, batch)
        return len(batch.codes)

    def __enter__(self) -> MemoryImport:
        return self

    def leave(self, error: BaseException | None) -> None:
        """Give up what was not published."""
        self._batch.give_up()

    def _sift(self, start: int, claimed: dict[str, Place], judge: Judge, full: Full) -> None:
        """Enter the free ones of a slice of the codes into `claimed` and the batch, and refuse the others."""
        batch = self._batch
        owners = self._tables.owners.get(self.scope, {})
        room = self._tables.list(batch.list_id).counts.capacity_left - len(batch.codes)
        for line, code in self._rows[start : start + SLICE]:
            place = claimed.get(code) or owners.get(code)
            holder = None if place is None else self._holder(*place)
            if holder is None and code in self._surplus:
                holder = Holder(batch.list_id, self._surplus[code])
            if holder is not None:
                self.refuse([RowFault(line, code, *judge(holder))])
            elif room <= 0:
                self._surplus[code] = line
                self.refuse([RowFault(line, code, *full())])
            else:
                if place is not None and self._is_reserved(*place):
                    self._reserved.add(code)
                claimed[code] = (batch, len(batch.codes))
                batch.codes.append(code)
                self._accepted.append((line, code))
                room -= 1

    def _holder(self, batch: Batch, place: int) -> Holder | None:
        if batch is self._batch:
            return Holder(batch.list_id, self._accepted[place][0])
        return Holder(batch.list_id) if self._tables.is_held(batch, place, self.counts) else None

    def _was_given(self, tx: ports.Transaction, code: str) -> bool:
        retired = (self._tables.lists[list_id] for list_id, _ in self._tables.retired.get(code, ()))
        used = any(each.scope == self.scope and not self.counts(each.state) for each in retired)
        held = code in self._tables.of_code and super()._was_given(tx, code)
        return used or held or code in self._reserved

    def _is_reserved(self, batch: Batch, place: int) -> bool:
        return (
            batch.published
            and batch.list_id in self._tables.lists
            and str(batch.first_id + place) in self._tables.reserved_codes
        )

    def _require_not_given_up(self) -> None:
        if self._batch.given_up:
            raise UploadInterrupted(upload_id=self.upload.id)


def _log(tx: ports.Transaction) -> UndoLog:
    return cast(MemoryTransaction, tx).unit.log
