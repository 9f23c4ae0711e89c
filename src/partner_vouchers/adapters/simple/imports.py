"""The codes of an upload on their way into a list, all in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import MAX_KEPT_FAULTS, RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError, UnknownList
from partner_vouchers.ports.imports import CodeImport, Judge
from partner_vouchers.ports.storage import Storage
from partner_vouchers.ports.transaction import Transaction


class SimpleImport(CodeImport):
    """`CodeImport` for a storage that judges, and stores, all codes of a file in one transaction.

    Nothing is stored before `publish`, so nothing has to be cleared away. The subclass says where codes and refused
    rows are kept. The transactions of the storage have an attribute `storage`: the storage that began them.

    Attributes:
        storage: the storage that imports.
        upload: the upload.
        scope: where its codes must be unique.
        counts: says whether the codes of a list with a state count as held.
    """

    def __init__(self, storage: Storage, upload: Upload, scope: str, counts: Callable[[State], bool]) -> None:
        """Take the storage, and what its `import_codes` was given."""
        self.storage: Storage = storage
        self.upload: Upload = upload
        self.scope: str = scope
        self.counts: Callable[[State], bool] = counts
        self._rows: list[tuple[int, str]] = []
        self._accepted: list[tuple[int, str]] = []
        self._faults: list[RowFault] = []
        self._refused: Counter[RowFaultKind] = Counter()
        self._is_claimed = False

    def holders(self, tx: Transaction) -> Mapping[str, Holder]:
        """Return the holder of each code of the scope; see `Codes.holder`.

        It is asked by `get` only, once for each code of the file: a mapping that looks up what it is asked for
        is enough.
        """
        raise NotImplementedError

    def store_codes(self, tx: Transaction, codes: Sequence[str]) -> None:
        """Store the codes of the upload behind those that its list has."""
        raise NotImplementedError

    def store_faults(self, tx: Transaction, faults: Sequence[RowFault]) -> None:
        """Store the refused rows of the upload, in place of those that were stored before."""
        raise NotImplementedError

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        self._rows.extend(zip(lines, codes, strict=True))

    def refuse(self, faults: Sequence[RowFault]) -> None:
        self._refused.update(fault.kind for fault in faults)
        self._faults.extend(faults[: MAX_KEPT_FAULTS - len(self._faults)])

    def check(self, judge: Judge, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        with self.storage.begin() as tx:
            self._choose(tx, judge, full)

    def claim(
        self,
        judge: Judge,
        full: Callable[[], tuple[RowFaultKind, str]],
        keep_alive: Callable[[Transaction], None],
    ) -> None:
        with self.storage.begin() as tx:
            self._choose(tx, judge, full)
            keep_alive(tx)
            tx.commit()
        self._is_claimed = True

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        with self.storage.begin(write=False) as tx:
            found = [(line, code) for line, code in self._accepted if self._was_given(tx, code)]
        return len(found), found[:limit]

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        return dict(self._refused)

    def sample(self, limit: int) -> list[RowFault]:
        return sorted(self._faults)[:limit]

    def save_faults(self, keep_alive: Callable[[Transaction], None]) -> None:
        with self.storage.begin() as tx:
            self.store_faults(tx, sorted(self._faults))
            keep_alive(tx)
            tx.commit()

    def publish(self, tx: Transaction) -> int:
        if getattr(tx, "storage", None) is not self.storage:
            raise StorageError(reason="publish in a transaction of the storage that imports")
        if not self._is_claimed:
            raise StorageError(reason="publish after `claim` has come to its end")
        if tx.lists.get(self.upload.list_id) is None:
            raise UnknownList(list_id=self.upload.list_id)
        self.store_codes(tx, [code for _, code in self._accepted])
        return len(self._accepted)

    def _choose(self, tx: Transaction, judge: Judge, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        room = tx.codes.counts(self.upload.list_id).capacity_left
        held, own = self.holders(tx), dict[str, Holder]()
        for line, code in self._rows:
            holder = held.get(code) or own.get(code)
            if holder is not None:
                self.refuse([RowFault(line, code, *judge(holder))])
                continue
            own[code] = Holder(self.upload.list_id, line)
            if len(self._accepted) < room:
                self._accepted.append((line, code))
            else:
                self.refuse([RowFault(line, code, *full())])

    def _was_given(self, tx: Transaction, code: str) -> bool:
        lists = (tx.lists.get(each.list_id) for each in tx.assignments.of_code(code))
        return any(
            each is not None and each.scope == self.scope and not self.counts(each.state) for each in lists
        )
