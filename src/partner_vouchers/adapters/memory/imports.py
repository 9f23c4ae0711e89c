"""How the codes of an upload come into a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from partner_vouchers import ports
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.adapters.simple import SimpleImport
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.uploads import RowFault


class MemoryImport(SimpleImport):
    """The codes of one upload on their way into a list."""

    def find_holder(self, tx: ports.Transaction) -> Callable[[str], Holder | None]:
        return cast(MemoryTransaction, tx).codes.find_holder(self.scope, self.counts)

    def store_codes(self, tx: ports.Transaction, codes: Sequence[str]) -> None:
        cast(MemoryTransaction, tx).codes.add(
            self.upload.list_id, self.scope, codes, upload_id=self.upload.id
        )

    def store_faults(self, tx: ports.Transaction, faults: Sequence[RowFault]) -> None:
        unit = cast(MemoryTransaction, tx).unit
        # A list takes its uploads with it: without it there is no entry to keep anything with.
        unit.tables.list(self.upload.list_id)
        unit.log.put(unit.tables.faults, self.upload.id, list(faults))

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        with self.storage.begin(write=False) as tx:
            tables = cast(MemoryTransaction, tx).unit.tables
            reserved = tables.open_reservations()
            self._reserved = {each.code for each in reserved if self.is_former(tx, each.list_id)}
        return super().held_before(limit)

    def was_given(self, tx: ports.Transaction, code: str) -> bool:
        tables = cast(MemoryTransaction, tx).unit.tables
        if code in self._reserved or (code in tables.of_code and super().was_given(tx, code)):
            return True
        return any(self.is_former(tx, list_id) for list_id, _ in tables.retired.get(code, ()))
