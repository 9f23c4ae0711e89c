"""Promo events as the product's pages describe them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from partner_vouchers.domain.promo_events import (
    POINTS_SOURCES,
    CouponRedeemed,
    CouponReverted,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    PromoEvent,
    VoucherRewarded,
)
from partner_vouchers.domain.properties import LARGEST_NUMBER

AT = datetime(2024, 2, 19, 14, tzinfo=UTC)
EXPIRY = datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)

_USED: dict[str, Any] = {
    "order_id": "order-991",
    "coupon_code": "DIWALI10-XK2",
    "coupon_id": "CPN-77",
    "coupon_name": "Diwali 10 %",
    "discount_amount": 49.9,
    "cashback_points": 20,
}
_FIELDS: dict[type[PromoEvent], dict[str, Any]] = {
    VoucherRewarded: {
        "campaign_id": "CMP123456",
        "source": "Campaign",
        "voucher_code": "PM500FF",
        "list_id": "1837",
        "list_tag": "winter_sale_500",
        "list_name": "Winter Sale",
        "list_description": "Winter Sale 2024 - ₹500 off on orders above ₹2000",
        "list_expiry": EXPIRY,
        "partner": "Puma",
    },
    CouponRewarded: {
        "coupon_name": "Diwali 10 %",
        "coupon_id": "CPN-77",
        "coupon_code": "DIWALI10-XK2",
        "campaign_id": "CMP123456",
        "description": "10 % off everything",
        "terms": "Once per user.\nNot with other offers.",
        "starts_at": datetime(2024, 2, 1, tzinfo=UTC),
        "redeemable_from": datetime(2024, 2, 20, 6, 30, tzinfo=UTC),
        "expires_at": EXPIRY,
    },
    CouponRedeemed: _USED,
    CouponReverted: _USED,
    PointsCredited: {
        "wallet_id": "WLT-5",
        "campaign_id": "CMP123456",
        "source": "Cashback Coupon",
        "wallet_description": "Loyalty points",
        "points_description": "For order-991",
        "points": 20,
        "transaction_id": "TXN-31",
    },
    PointsDebited: {
        "wallet_id": "WLT-5",
        "source": "Manual",
        "wallet_description": "Loyalty points",
        "points": 12.5,
        "transaction_id": "TXN-32",
    },
}


def an_event(kind: type[PromoEvent] = VoucherRewarded, **changed: Any) -> Any:
    """Return the event of this class that the golden files show, with changes."""
    return kind(**{"occurred_at": AT, "user_id": "user-42", **_FIELDS[kind], **changed})


# --- any event -------------------------------------------------------------------------------------------

_SECONDS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda instant: instant.replace(microsecond=0))
_TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
_NAMES = _TEXTS.filter(str.strip)
_NUMBERS = st.integers(-LARGEST_NUMBER, LARGEST_NUMBER) | st.floats(-(2.0**53), 2.0**53)
_MAYBE_NAME = st.none() | _NAMES
_MAYBE_TEXT = st.none() | _TEXTS

_ANY_USED = {
    "order_id": _NAMES,
    "coupon_code": _MAYBE_NAME,
    "coupon_id": _NAMES,
    "coupon_name": _MAYBE_NAME,
    "discount_amount": st.none() | _NUMBERS,
    "cashback_points": st.none() | _NUMBERS,
}
_ANY: dict[type[PromoEvent], dict[str, st.SearchStrategy[Any]]] = {
    VoucherRewarded: {
        "campaign_id": _MAYBE_NAME,
        "source": st.sampled_from(["Campaign", "API"]),
        "voucher_code": _NAMES,
        "list_id": _NAMES,
        "list_tag": _NAMES,
        "list_name": _NAMES,
        "list_description": _TEXTS,
        "list_expiry": _SECONDS,
        "partner": _NAMES,
    },
    CouponRewarded: {
        "coupon_name": _MAYBE_NAME,
        "coupon_id": _NAMES,
        "coupon_code": _MAYBE_NAME,
        "campaign_id": _NAMES,
        "description": _MAYBE_TEXT,
        "terms": _MAYBE_TEXT,
        "starts_at": _SECONDS,
        "redeemable_from": _SECONDS,
        "expires_at": _SECONDS,
    },
    CouponRedeemed: _ANY_USED,
    CouponReverted: _ANY_USED,
    PointsCredited: {
        "wallet_id": _NAMES,
        "campaign_id": _MAYBE_NAME,
        "source": st.sampled_from(POINTS_SOURCES),
        "wallet_description": _MAYBE_TEXT,
        "points_description": _MAYBE_TEXT,
        "points": _NUMBERS,
        "transaction_id": _NAMES,
        "ct_source": _NAMES,
    },
    PointsDebited: {
        "wallet_id": _NAMES,
        "source": st.sampled_from(POINTS_SOURCES),
        "wallet_description": _MAYBE_TEXT,
        "points": _NUMBERS,
        "transaction_id": _NAMES,
    },
}


def any_event(kind: type[PromoEvent]) -> st.SearchStrategy[PromoEvent]:
    """Return events of this class whose instants are whole seconds, as on the wire."""
    return st.builds(kind, occurred_at=_SECONDS, user_id=_NAMES, **_ANY[kind])
