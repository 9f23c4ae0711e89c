"""The codes of an upload on their way into a list, which nothing but memory knows before they are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import MAX_KEPT_FAULTS, RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError, UnknownList
from partner_vouchers.ports.imports import CodeImport, Judge
from partner_vouchers.ports.storage import Storage
from partner_vouchers.ports.transaction import Transaction

SLICE = 10_000
"""How many codes are judged in one transaction, for which others wait."""

Full = Callable[[], tuple[RowFaultKind, str]]
KeepAlive = Callable[[Transaction], None]


class SimpleImport(CodeImport):
    """`CodeImport` for a storage that stores all codes of a file in one transaction.

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

    def find_holder(self, tx: Transaction) -> Callable[[str], Holder | None]:
        """Return a function that returns the holder of a code of the scope. It is called for each code of the file.

        It has a body, which calls `Codes.holder`.
        """
        return lambda code: tx.codes.holder(self.scope, code, self.counts)

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

    def check(self, judge: Judge, full: Full) -> None:
        self._choose(judge, full, None)

    def claim(self, judge: Judge, full: Full, keep_alive: KeepAlive) -> None:
        self._choose(judge, full, keep_alive)
        self._is_claimed = True

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        with self.storage.begin(write=False) as tx:
            found = [(line, code) for line, code in self._accepted if self.was_given(tx, code)]
        return len(found), found[:limit]

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        return dict(self._refused)

    def sample(self, limit: int) -> list[RowFault]:
        return sorted(self._faults)[:limit]

    def save_faults(self, keep_alive: KeepAlive) -> None:
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

    def was_given(self, tx: Transaction, code: str) -> bool:
        """Tell whether a user has a code of a list of the scope whose codes do not count. It has a body."""
        return any(self.is_former(tx, each.list_id) for each in tx.assignments.of_code(code))

    def is_former(self, tx: Transaction, list_id: str) -> bool:
        """Tell whether a list is of the scope, and its codes do not count."""
        found = tx.lists.get(list_id)
        return found is not None and found.scope == self.scope and not self.counts(found.state)

    def _choose(self, judge: Judge, full: Full, keep_alive: KeepAlive | None) -> None:
        own: dict[str, int] = {}
        for start in range(0, max(len(self._rows), 1), SLICE):
            with self.storage.begin(write=keep_alive is not None) as tx:
                room = tx.codes.counts(self.upload.list_id).capacity_left
                find_holder = self.find_holder(tx)
                for line, code in self._rows[start : start + SLICE]:
                    first = own.get(code)
                    holder = find_holder(code) if first is None else Holder(self.upload.list_id, first)
                    if holder is not None:
                        self.refuse([RowFault(line, code, *judge(holder))])
                        continue
                    own[code] = line
                    if len(self._accepted) < room:
                        self._accepted.append((line, code))
                    else:
                        self.refuse([RowFault(line, code, *full())])
                if keep_alive is not None:
                    keep_alive(tx)
                    tx.commit()
