"""Parts that keep things in dicts, and give them back in any order.

Their types are those that a host would write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypeVar

from partner_vouchers.adapters import simple
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.memory.transaction import MemoryTransaction
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.uploads import RowFault, Upload
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StorageError
from partner_vouchers.testing import driver

T = TypeVar("T")


class Part:
    """A part that keeps things in a dict of its own, and asks a memory transaction for what other parts know."""

    def __init__(self, tx: MemoryTransaction, random: Random | None = None) -> None:
        self.tx: MemoryTransaction = tx
        self.random = random or Random(0)

    def in_any_order(self, stored: Iterable[T]) -> Iterator[T]:
        mixed = list(stored)
        self.random.shuffle(mixed)
        return iter(mixed)


class Lists(Part, simple.SimpleLists[MemoryTransaction]):
    def __init__(self, tx: MemoryTransaction, random: Random | None = None) -> None:
        super().__init__(tx, random)
        self.rows: dict[str, VoucherList] = {}

    def stored(self, list_id: str) -> VoucherList | None:
        return self.rows.get(list_id)

    def all_stored(self) -> Iterator[VoucherList]:
        return self.in_any_order(self.rows.values())

    def insert(self, voucher_list: VoucherList) -> None:
        if voucher_list.id in self.rows:
            raise StorageError(reason="the id was used before")
        self.rows[voucher_list.id] = voucher_list

    def replace(self, voucher_list: VoucherList) -> None:
        assert voucher_list.id in self.rows
        self.rows[voucher_list.id] = voucher_list

    def new_id(self) -> str:
        return self.tx.lists.new_id()

    def remove(self, list_id: str) -> None:
        self.rows.pop(list_id, None)


class Campaigns(Part, simple.SimpleCampaigns[MemoryTransaction]):
    def __init__(self, tx: MemoryTransaction, random: Random | None = None) -> None:
        super().__init__(tx, random)
        self.rows: dict[tuple[str, str], CampaignLink] = {}

    def all_stored(self) -> Iterator[CampaignLink]:
        return iter(self.rows.values())

    def store(self, link: CampaignLink) -> None:
        self.rows[link.list_id, link.campaign_id] = link

    def remove(self, list_id: str, campaign_id: str) -> bool:
        return self.rows.pop((list_id, campaign_id), None) is not None


class Assignments(Part, simple.SimpleAssignments[MemoryTransaction]):
    """The ids of its codes are no numbers, and its outbox keeps ids."""

    def __init__(self, tx: MemoryTransaction, random: Random | None = None) -> None:
        super().__init__(tx, random)
        self.rows: dict[str, Assignment] = {}
        self.told: list[str] = []

    def all_stored(self) -> Iterator[Assignment]:
        return self.in_any_order(self.rows.values())

    def insert(self, assignment: Assignment) -> None:
        if assignment.id in self.rows:
            raise StorageError(reason="the code is assigned already")
        self.rows[assignment.id] = assignment

    def append_events(self, assignments: Sequence[Assignment]) -> None:
        self.told += [each.id for each in assignments]

    def place(self, assignment: Assignment) -> int:
        return int(assignment.id.removeprefix("code "))


class Uploads(Part, simple.SimpleUploads[MemoryTransaction]):
    def __init__(self, tx: MemoryTransaction, random: Random | None = None) -> None:
        super().__init__(tx, random)
        self.rows: dict[str, Upload] = {}
        self.pieces: dict[tuple[str, int], bytes] = {}
        self.refused: dict[str, list[RowFault]] = {}

    def new_id(self) -> str:
        return self.tx.uploads.new_id()

    def get(self, upload_id: str) -> Upload | None:
        return self.rows.get(upload_id)

    def all_stored(self) -> Iterator[Upload]:
        return self.in_any_order(self.rows.values())

    def insert(self, upload: Upload) -> None:
        if upload.id in self.rows:
            raise StorageError(reason="the id was used before")
        self.rows[upload.id] = upload

    def replace(self, upload: Upload) -> None:
        assert upload.id in self.rows
        self.rows[upload.id] = upload

    def piece(self, upload_id: str, index: int) -> bytes | None:
        return self.pieces.get((upload_id, index))

    def insert_piece(self, upload_id: str, index: int, data: bytes) -> None:
        self.pieces[upload_id, index] = data

    def all_faults(self, upload_id: str) -> Iterator[RowFault]:
        return self.in_any_order(self.refused.get(upload_id, ()))


@contextmanager
def reading(storage: MemoryStorage) -> Iterator[MemoryTransaction]:
    with storage.begin() as tx:
        assert isinstance(tx, MemoryTransaction)
        yield tx


def stocked_lists(storage: MemoryStorage, number: int = 3) -> list[str]:
    """Make lists of a few codes each. As texts their ids, and those of uploads, are not in the order of age."""
    with storage.begin() as tx:
        for _ in range(8):
            tx.lists.new_id()
            tx.uploads.new_id()
        tx.commit()
    # Every list has the same codes: none is of the same scope.
    return [
        driver.a_list(storage, driver.some_codes(6), tag=f"tag-{index}", partner=f"partner {-index % number}")
        for index in range(number)
    ]
