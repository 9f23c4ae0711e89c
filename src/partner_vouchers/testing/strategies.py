"""Hypothesis strategies for the things of this library: names, lists, codes, events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar, get_args, get_type_hints

from attrs import fields
from hypothesis import strategies as st

from partner_vouchers.domain import events
from partner_vouchers.domain.assignment import Source
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.events import Event, FieldChange
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.promo_events import HOST_EVENTS, POINTS_SOURCES, VoucherRewarded
from partner_vouchers.domain.stock import LowStock, PercentUsed
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.testing.driver import START

E = TypeVar("E", bound=Event)

_LINE = st.characters(exclude_categories=("Cc", "Cs"))


def names(max_size: int = 30) -> st.SearchStrategy[str]:
    """Return names of partners, lists, users and campaigns: any text on one line that is not blank."""
    return st.text(_LINE, min_size=1, max_size=max_size).filter(str.strip)


def descriptions() -> st.SearchStrategy[str]:
    """Return descriptions: strings that may be empty and may have line breaks."""
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


# --- events ---


def stored_events() -> st.SearchStrategy[Event]:
    """Return events of every kind that a storage keeps as they are: the library's own, and those that a host raises."""
    return own_events() | raised_events()


def own_events() -> st.SearchStrategy[Event]:
    """Return the library's own events: changes, levels of stock, what became of codes, lists that expire."""
    known = [each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)]
    bases = {base for each in known for base in each.__mro__[1:]}
    kinds = [each for each in known if each not in bases and each is not events.UnreadableEvent]
    return st.one_of(list(map(_events, kinds)))


def raised_events() -> st.SearchStrategy[Event]:
    """Return the promo events that a host raises: coupons and points."""
    return st.one_of(list(map(_events, HOST_EVENTS)))


def rewarded_events() -> st.SearchStrategy[VoucherRewarded]:
    """Return events *CT Partner Voucher Rewarded*."""
    return _events(VoucherRewarded, source=st.sampled_from(Source).map(str))


_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)
_IDS = st.integers(1, 10**9).map(str)
_VALUES = st.none() | st.booleans() | _NUMBERS | names()
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "changes": st.lists(st.builds(FieldChange, names(), _VALUES, _VALUES), max_size=3).map(tuple),
    **dict.fromkeys(("list_id", "assignment_id", "report_id"), _IDS),
    "list_tag": tags(),
    "source": st.sampled_from(POINTS_SOURCES),
    "voucher_code": codes(),
}
_BY_TYPE: dict[tuple[type, ...], st.SearchStrategy[Any]] = {
    (str,): names(),
    (int,): st.integers(0, 10**6),
    (bool,): st.booleans(),
    (int, float): _NUMBERS,
    (datetime,): instants(),
}


def _events(kind: type[E], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[E]:
    types = get_type_hints(kind)
    drawn = {each.name: _values(each.name, types[each.name]) for each in fields(kind) if each.name != "extra"}
    return st.builds(kind, **(drawn | known))


def _values(name: str, kind: Any) -> st.SearchStrategy[Any]:
    types = get_args(kind) or (kind,)
    if name.endswith(("description", "terms")):
        values = descriptions()
    elif name in _BY_NAME:
        values = _BY_NAME[name]
    else:
        values = _BY_TYPE[tuple(each for each in types if each is not type(None))]
    return st.none() | values if type(None) in types else values
