"""Entities as rows of tables, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AbcMapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from partner_vouchers.adapters.sql.columns import (
    from_instant,
    from_low_stock,
    to_instant,
    to_low_stock,
    to_number,
)
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.delivery import Deferred
from partner_vouchers.domain.reconciliation import ReconciliationReport
from partner_vouchers.domain.redemption import Redemption
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.uploads import FileFault, FileFaultKind, Upload
from partner_vouchers.domain.voucher_list import ListSnapshot, VoucherList

E = TypeVar("E")

LEVELS = {int(level): level for level in StockLevel}
"""The stock levels by their numbers."""

LINK_COLUMNS = 6
"""How many columns a link has, where its list follows."""

_LIST_COLUMNS = 15
_CAMPAIGN, _LIST = "c:", "l:"
_MICROSECOND = timedelta(microseconds=1)


class Column(NamedTuple):
    """How a value is stored. None is NULL in every column.

    Attributes:
        write: returns what is stored of a value.
        read: returns the value of what is stored.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


def _counts_by(kind: type[Enum]) -> Column:
    return Column(
        lambda counts: json.dumps({each.value: count for each, count in counts.items()}),
        lambda text: {kind(each): count for each, count in json.loads(text).items()},
    )


def _failure(kind: str, message: str, line: int | None) -> FileFault:
    return FileFault(FileFaultKind(kind), message, line)


_PLAIN = Column(_as_it_is, _as_it_is)
_NUMBER = Column(to_number, str)
_OF_TYPE = {
    bool: Column(_as_it_is, bool),
    datetime: Column(from_instant, to_instant),
    timedelta: Column(lambda length: length // _MICROSECOND, lambda number: timedelta(microseconds=number)),
    Decimal: Column(str, Decimal),
}


def _column(hint: Any) -> Column:
    """Return how values of a type are stored."""
    kind = next((each for each in get_args(hint) if each is not NoneType), hint)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _counts_by(kind) if get_origin(hint) is AbcMapping else Column(attrgetter("value"), kind)
    return _OF_TYPE.get(kind, _PLAIN)


class Mapping(Generic[E]):
    """The columns of an entity, in the order in which statements have them.

    A column has the name of an attribute, and is stored as its type says, unless something else is said.
    """

    def __init__(self, entity: Callable[..., E], names: str, **others: Column) -> None:
        hints = get_type_hints(entity)
        self._entity = entity
        self._columns = {name: others.get(name) or _column(hints[name]) for name in names.split()}

    def row(self, entity: E, *names: str) -> tuple[Any, ...]:
        """Return an entity as columns: all, or those of some attributes."""
        values = ((name, getattr(entity, name)) for name in names or self._columns)
        return tuple(
            None if value is None else self._columns.get(name, _PLAIN).write(value) for name, value in values
        )

    def entity(self, row: Iterable[Any], **others: Any) -> E:
        """Return the entity of a row that begins with its columns, with other attributes of it."""
        values = {
            name: None if value is None else column.read(value)
            for (name, column), value in zip(self._columns.items(), row, strict=False)
        }
        return self._entity(**values, **others)


UPLOADS = Mapping(
    Upload,
    "id list_id uploaded_by filename started_at status finished_at size sha256 encoding header header_skipped total "
    "accepted errors withdrawn failure first_row warnings",
    id=_NUMBER,
    list_id=_NUMBER,
    failure=Column(
        lambda fault: json.dumps([fault.kind.value, fault.message, fault.line]),
        lambda text: _failure(*json.loads(text)),
    ),
    # As JSON, since no text of PostgreSQL may hold every character of a row.
    first_row=Column(json.dumps, json.loads),
)
_LISTS = Mapping(
    VoucherList,
    "id partner tag name description expires_at state low_stock_at scope campaigns created_at updated_at version "
    "used_before expiring_soon",
    id=_NUMBER,
    low_stock_at=Column(from_low_stock, to_low_stock),
)
LINKS = Mapping(CampaignLink, "list_id campaign_id repeat priority eligibility linked_at", list_id=_NUMBER)
DEFERRED = Mapping(Deferred, "position id key state attempts failures retry_at reason")
REPORTS = Mapping(
    ReconciliationReport,
    "id partner list_id uploaded_by filename sha256 started_at finished_at last_line counts",
    id=_NUMBER,
    list_id=_NUMBER,
)
REDEMPTIONS = Mapping(Redemption, "number order_id redeemed_at recorded_at amount late reverted_at")


def _instant_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else to_instant(microseconds)


def snapshot_from_row(row: tuple[Any, ...]) -> ListSnapshot:
    """Return what a list said, of a row: its id and version, then the rest in the order of a snapshot."""
    return ListSnapshot(str(row[0]), row[1], row[2], row[3], row[4], row[5], to_instant(row[6]))


def assignments_from_rows(rows: Iterable[tuple[Any, ...]]) -> list[Assignment]:
    """Return assignments of rows: the assignment, then its list, then what that said, which many of them share."""
    snapshots: dict[tuple[int, int], ListSnapshot] = {}
    found: list[Assignment] = []
    for row in rows:
        key = row[6], row[7]
        snapshot = snapshots.get(key)
        if snapshot is None:
            snapshot = snapshots[key] = snapshot_from_row(row[6:13])
        given = str(row[0]), row[1], row[2], campaign_of(row[3]), row[4], to_instant(row[5]), snapshot
        found.append(Assignment(*given, _instant_or_none(row[13]), _instant_or_none(row[14])))
    return found


def origin_of(campaign_id: str | None, list_id: str | None) -> str:
    """Return where a code was asked for: in a campaign, or else of a list."""
    return f"{_LIST}{list_id}" if campaign_id is None else f"{_CAMPAIGN}{campaign_id}"


@lru_cache(1024)
def campaign_of(origin: str) -> str | None:
    """Return the campaign of an origin, or None where a list was asked."""
    return origin[2:] if origin.startswith(_CAMPAIGN) else None


def list_to_row(voucher_list: VoucherList, *names: str) -> tuple[Any, ...]:
    """Return some attributes of a list as columns."""
    return _LISTS.row(voucher_list, *names)


def list_from_row(row: tuple[Any, ...]) -> VoucherList:
    """Return the list of a row: its own columns, then its counters and the stock level notified last."""
    counts, level = Counts(*row[_LIST_COLUMNS:-1]), LEVELS[row[-1]]
    return _LISTS.entity(row, counts=counts, notified=level)


def raw_text(raw: str | bytes) -> str:
    """Return a refused row; as bytes it is UTF-8, also of what is no text."""
    return raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "surrogatepass")


def raw_bytes(text: str) -> bytes:
    """Return the bytes of `raw_text`."""
    return text.encode("utf-8", "surrogatepass")
