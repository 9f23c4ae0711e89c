"""Hypothesis strategies for the things of this library: partners, lists, codes, files, operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from partner_vouchers.domain import events
from partner_vouchers.domain.assignment import Source
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.events import (
    AuditedEvent,
    Event,
    FieldChange,
    ListExpired,
    ListExpiringSoon,
    StockEvent,
)
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.promo_events import (
    POINTS_SOURCES,
    CouponRedeemed,
    CouponReverted,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    VoucherRewarded,
)
from partner_vouchers.domain.stock import LowStock, PercentUsed
from partner_vouchers.domain.uploads import RowFault, RowFaultKind
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.testing.driver import START

_LINE = st.characters(exclude_categories=("Cc", "Cs"))
_OUTER = " \t\u00a0\u3000"
_FEW_CODES = st.integers(1, 12).map(lambda number: f"C{number:02}")


def names(max_size: int = 30) -> st.SearchStrategy[str]:
    """Return names of partners, lists, users and campaigns: any text on one line that is not blank."""
    return st.text(_LINE, min_size=1, max_size=max_size).filter(str.strip)


def descriptions() -> st.SearchStrategy[str]:
    """Return descriptions: texts that may be empty and may have line breaks."""
    return st.text(_LINE | st.sampled_from("\n\r\t"), max_size=60)


def tags() -> st.SearchStrategy[str]:
    """Return list tags in their stored form: lower case, without white space."""
    character = st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"))
    found = st.text(character, min_size=1, max_size=20).map(str.lower)
    return found.filter(lambda tag: tag.strip() and not any(each.isspace() for each in tag))


def instants() -> st.SearchStrategy[datetime]:
    """Return instants in UTC, to the microsecond, around `driver.START`; equal ones are frequent."""
    days = st.integers(0, 3).map(lambda number: START + timedelta(days=number))
    return days | st.integers(-(10**15), 10**15).map(lambda number: START + timedelta(microseconds=number))


def thresholds() -> st.SearchStrategy[LowStock | None]:
    """Return stock thresholds: none, a number of codes, or a percentage used."""
    return st.none() | st.integers(0, 1_000_000) | st.integers(1, 100).map(PercentUsed)


def partners() -> st.SearchStrategy[Partner]:
    """Return partners."""
    return st.builds(Partner, names(), instants())


def voucher_lists() -> st.SearchStrategy[VoucherList]:
    """Return lists as they are created, before a storage gave them an id: the id is empty."""
    return st.builds(
        VoucherList,
        id=st.just(""),
        partner=st.sampled_from(["Puma", "Amazon"]) | names(),
        tag=tags(),
        name=st.sampled_from(["Winter Sale", "Spring Sale"]) | names(),
        description=descriptions(),
        expires_at=instants(),
        state=st.sampled_from(State),
        low_stock_at=thresholds(),
        scope=names(),
        created_at=instants(),
        updated_at=instants(),
    )


def codes() -> st.SearchStrategy[str]:
    """Return valid voucher codes under `CodeFormat`: mostly plain ones, and others of any script."""
    plain = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789-", min_size=1, max_size=16)
    rules = CodeFormat()
    any_script = st.text(
        st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=128
    )
    return st.one_of(
        plain, plain, any_script.filter(lambda code: rules.fault(code) is None and rules.trim(code) == code)
    )


def code_lists(max_size: int = 12) -> st.SearchStrategy[list[str]]:
    """Return codes of a file; they come from so few that they often repeat, within a file and between files."""
    return st.lists(_FEW_CODES, max_size=max_size)


@frozen
class CodeFile:
    """A code file, and what an upload to a new, empty list makes of it.

    Attributes:
        data: the bytes.
        accepted: the codes that become available, in order.
        refused: why the other rows are refused, in the order of their lines.
    """

    data: bytes
    accepted: tuple[str, ...]
    refused: tuple[RowFaultKind, ...]


def csv_files() -> st.SearchStrategy[CodeFile]:
    """Return files with good and bad rows: repeated codes, white space in codes, codes too long, empty rows."""
    return st.builds(
        _csv_file, st.lists(_rows(), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans()
    )


def refused_csv_files() -> st.SearchStrategy[bytes]:
    """Return files that are refused as a whole: empty, of two columns, not UTF-8, of broken quoting."""
    lines = codes().map(lambda code: code.encode() + b"\n")
    return st.one_of(
        st.just(b""),
        st.just(b"code\n"),
        st.just(b"\n\n"),
        lines.map(lambda line: line + b"A,B\n"),
        lines.map(lambda line: line + b"\xff\xfe\n"),
        lines.map(lambda line: line + b'"A\n'),
    )


def _rows() -> st.SearchStrategy[tuple[str, str, RowFaultKind | None]]:
    known = {"code", "codes", "voucher_code"}
    good = (_FEW_CODES | codes()).filter(lambda code: code.lower() not in known)
    return st.one_of(
        st.tuples(good, st.sampled_from(_OUTER) | st.just(""), st.none()),
        st.tuples(
            good.map(lambda code: f"{code[:60]} x"), st.just(""), st.just(RowFaultKind.INVALID_CHARACTER)
        ),
        st.tuples(
            st.integers(129, 300).map(lambda size: "X" * size), st.just(""), st.just(RowFaultKind.TOO_LONG)
        ),
        st.tuples(st.just(""), st.just(" "), st.just(RowFaultKind.EMPTY)),
    )


def _csv_file(rows: list[tuple[str, str, RowFaultKind | None]], line_end: str, header: bool) -> CodeFile:
    accepted: list[str] = []
    refused: list[RowFaultKind] = []
    # Blank lines at the end are no rows.
    while rows and rows[-1][2] is RowFaultKind.EMPTY:
        rows = rows[:-1]
    for code, _, fault in rows:
        if fault is None and code in accepted:
            fault = RowFaultKind.DUPLICATE_IN_FILE
        if fault is None:
            accepted.append(code)
        else:
            refused.append(fault)
    texts = ["Voucher_Code"] * header + [f"{outer}{code}{outer}" for code, outer, _ in rows]
    return CodeFile("".join(f"{text}{line_end}" for text in texts).encode(), tuple(accepted), tuple(refused))


def row_faults() -> st.SearchStrategy[list[RowFault]]:
    """Return refused rows of a file, in the order of their lines."""
    rows = st.dictionaries(
        st.integers(1, 2**31), st.tuples(st.text(_LINE, max_size=40), st.sampled_from(RowFaultKind), names())
    )
    return rows.map(lambda found: [RowFault(line, *found[line]) for line in sorted(found)])


# --- events ---


def stored_events() -> st.SearchStrategy[Event]:
    """Return events of every kind that a storage keeps as they are: the library's own, and those that a host raises."""
    return own_events() | raised_events()


def own_events() -> st.SearchStrategy[Event]:
    """Return the library's own events: changes, levels of stock, and lists that expired."""
    values = (
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | names()
    )
    changes = st.lists(st.builds(FieldChange, names(), values, values), max_size=3).map(tuple)
    ids = st.integers(1, 10**9).map(str)
    of_list = {"list_id": ids, "partner": names(), "list_tag": tags()}
    changed = {"list_id": st.none() | ids, "changes": changes}
    return st.one_of(
        _events(_kinds(AuditedEvent), changed),
        _events(_kinds(StockEvent), {**of_list, "available": st.integers(0, 10**6)}),
        _events([ListExpired], of_list),
        _events([ListExpiringSoon], {**of_list, "expires_at": instants()}),
    )


def raised_events() -> st.SearchStrategy[Event]:
    """Return the promo events that a host raises: coupons and points."""
    numbers = st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)
    name, text, number = st.none() | names(), st.none() | descriptions(), st.none() | numbers
    coupon = {"coupon_id": names(), "coupon_name": name, "coupon_code": name}
    dates = {"starts_at": instants(), "redeemable_from": instants(), "expires_at": instants()}
    rewarded = {**coupon, **dates, "campaign_id": names(), "description": text, "terms": text}
    used = {**coupon, "order_id": names(), "discount_amount": number, "cashback_points": number}
    points = {
        "wallet_id": names(),
        "source": st.sampled_from(POINTS_SOURCES),
        "wallet_description": text,
        "points": numbers,
        "transaction_id": names(),
    }
    credited = {**points, "campaign_id": name, "points_description": text, "ct_source": names()}
    by_user = {"user_id": names()}
    return st.one_of(
        _events([CouponRewarded], by_user | rewarded),
        _events([CouponRedeemed, CouponReverted], by_user | used),
        _events([PointsCredited], by_user | credited),
        _events([PointsDebited], by_user | points),
    )


def rewarded_events() -> st.SearchStrategy[VoucherRewarded]:
    """Return events *CT Partner Voucher Rewarded*."""
    return st.builds(
        VoucherRewarded,
        occurred_at=instants(),
        user_id=names(),
        campaign_id=st.none() | names(),
        source=st.sampled_from(Source).map(str),
        voucher_code=codes(),
        list_id=st.integers(1, 10**9).map(str),
        list_tag=tags(),
        list_name=names(),
        list_description=descriptions(),
        list_expiry=instants(),
        partner=names(),
    )


def _kinds(root: type[Event]) -> list[type[Event]]:
    found = (each for each in vars(events).values() if isinstance(each, type) and issubclass(each, root))
    return [each for each in found if each not in (root, events.UnreadableEvent)]


def _events(kinds: Sequence[type[Event]], fields: Mapping[str, Any]) -> st.SearchStrategy[Event]:
    drawn = st.fixed_dictionaries({"occurred_at": instants(), **fields})
    return st.builds(lambda kind, values: kind(**values), st.sampled_from(kinds), drawn)


# --- operations ---


@frozen
class Operation:
    """One call of the library, in words: a host's own test can play it on a storage.

    Attributes:
        name: `create`, `upload`, `link`, `assign`, `pause`, `activate`, `archive`, `withdraw` or `wait`.
        place: the number of the list, in the order of creation; of the upload for `withdraw`; of days for `wait`.
        user: who asks.
        file: the codes of the file of an `upload`.
        key: the idempotency key of an assignment, or None.
    """

    name: str
    place: int = 0
    user: str = ""
    file: tuple[str, ...] = ()
    key: str | None = None


def operations(max_size: int = 30) -> st.SearchStrategy[list[Operation]]:
    """Return sequences of operations on a few lists and a few users."""
    place = st.integers(0, 3)
    user = st.sampled_from(["user-1", "user-2", "user-3"])
    simple = st.builds(
        Operation,
        st.sampled_from(["create", "pause", "activate", "archive", "withdraw", "link", "wait"]),
        place,
    )
    upload = st.builds(Operation, st.just("upload"), place, file=code_lists().map(tuple))
    key = st.none() | st.sampled_from(["order-1", "order-2", "order-3"])
    assign = st.builds(Operation, st.just("assign"), place, user, key=key)
    return st.lists(st.one_of(simple, upload, assign), max_size=max_size)
