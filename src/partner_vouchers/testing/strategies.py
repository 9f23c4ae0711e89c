"""Hypothesis strategies for the things of this library: names, lists, codes, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

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
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.testing.driver import START

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
