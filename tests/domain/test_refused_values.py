"""Values that are refused by the name of their argument, each kind where a host gives it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from partner_vouchers.domain.assignment import new_request
from partner_vouchers.domain.campaigns import RepeatPolicy, new_link
from partner_vouchers.domain.codes import CodeFormat
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.limits import Limit, new_limits
from partner_vouchers.domain.partner import new_partner
from partner_vouchers.domain.redemption import new_amount, new_redeemed_at
from partner_vouchers.domain.reservation import new_ttl
from partner_vouchers.domain.stock import PercentUsed, new_low_stock
from partner_vouchers.domain.uploads import require_filename
from partner_vouchers.errors import InvalidIdempotencyKey, InvalidInput, InvalidPartnerName, NaiveDatetime
from tests.domain.examples import MICROSECOND, NOW
from tests.support.zones import LOCALTIME

Make = Callable[[Any], object]

NAIVE = NOW.replace(tzinfo=None)
LIMIT = Limit(2, per="user")
YEAR = timedelta(days=365)


def link(field: str) -> Make:
    good: dict[str, Any] = {
        "campaign_id": "CMP1",
        "repeat": RepeatPolicy.SAME_CODE,
        "priority": 0,
        "eligibility": None,
    }
    return lambda value: new_link(list_id="1837", now=NOW, **{**good, field: value})


def limit(field: str) -> Make:
    good: dict[str, Any] = {"count": 1, "per": "user", "period": "day", "zone": "UTC"}
    return lambda value: Limit(**{**good, field: value})


def retry(field: str) -> Make:
    return lambda value: RetryPolicy(**{field: value})


WAITS: list[Any] = [-MICROSECOND, YEAR + MICROSECOND, timedelta.max, 5]
SHARES: list[Any] = [PercentUsed(wrong) for wrong in (0, 101, -1, 50.5, True, "50")]  # type: ignore[arg-type]
NUMBERS: list[Any] = [Decimal(text) for text in ("-0.01", "-0", "NaN", "sNaN", "Infinity", "1E+99999")]

REFUSED: list[tuple[str, str, Make, list[Any]]] = [
    ("partner", "name", lambda value: new_partner(value, NOW), ["", "Pu\nma", 7]),
    ("link", "campaign_id", link("campaign_id"), ["", " ", "CMP\n1", 123456]),
    ("link", "repeat", link("repeat"), ["same code", None]),
    ("link", "priority", link("priority"), [2**31, -(2**31) - 1, 1.0, True, None]),
    ("link", "eligibility", link("eligibility"), ["", len]),
    ("limit", "count", limit("count"), [0, -1, 1.0, True, "5", 2**31]),
    ("limit", "per", limit("per"), ["list", None, []]),
    ("limit", "period", limit("period"), ["year", 7]),
    ("limit", "zone", limit("zone"), [None, "Nowhere/Town", "../etc/passwd", 5, "localtime", LOCALTIME]),
    ("limit without a period", "zone", lambda value: Limit(1, per="user", zone=value), ["UTC"]),
    (
        "limits",
        "limits",
        new_limits,
        [None, 5, "limit", LIMIT, {LIMIT}, [LIMIT, 1], [LIMIT, Limit(9, per="user")]],
    ),
    (
        "reservation",
        "ttl",
        new_ttl,
        [timedelta(0), timedelta(seconds=-1), timedelta(days=30, microseconds=1), 60, None, "60"],
    ),
    ("list", "low_stock_at", new_low_stock, [-1, 0.5, 10.0, "10", True, *SHARES]),
    (
        "redemption",
        "redeemed_at",
        lambda value: new_redeemed_at(value, NOW),
        [NOW + timedelta(hours=24, microseconds=1), NAIVE, "2026-11-28"],
    ),
    ("redemption", "amount", new_amount, [*NUMBERS, 9.9, 5, "5"]),
    (
        "upload",
        "filename",
        require_filename,
        ["é" * 252 + ".csv", "a\nb.csv", "a\0.csv", "\ud800.csv", None, 42],
    ),
    (
        "request",
        "idempotency_key",
        lambda value: new_request("CMP1", None, value),
        ["", "k" * 256, "order\n991", "order\ud800", 991, b"order-991"],
    ),
    ("format", "titles", lambda value: CodeFormat(titles=value), ["code", ["code"], {1}, None]),
    (
        "format",
        "max_length",
        lambda value: CodeFormat(max_length=value),
        [0, -1, 10_001, True, 12.0, "12", None],
    ),
    *(("retry", wait, retry(wait), WAITS) for wait in ("first_wait", "longest_wait", "longest_pause")),
    ("retry", "max_attempts", retry("max_attempts"), [0, -1, 1.5, True, None, "3"]),
]


@pytest.mark.parametrize(
    "field, make, wrong",
    [
        pytest.param(field, make, wrong, id=f"{what}, {field} {ascii(wrong)[:40]}")
        for what, field, make, values in REFUSED
        for wrong in values
    ],
)
def test_a_value_is_refused_by_the_name_of_its_argument(field: str, make: Make, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(wrong)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "make, kind",
    [
        (lambda: new_partner("", NOW), InvalidPartnerName),
        (lambda: new_request("CMP1", None, ""), InvalidIdempotencyKey),
        (lambda: new_redeemed_at(NAIVE, NOW), NaiveDatetime),
    ],
    ids=["partner", "idempotency key", "naive time of redemption"],
)
def test_a_program_tells_some_of_them_apart(make: Callable[[], object], kind: type[InvalidInput]) -> None:
    with pytest.raises(kind):
        make()


@pytest.mark.parametrize(
    "make, says",
    [
        (retry("longest_wait"), "longest_wait: must be a timedelta from zero to 365 days"),
        (retry("max_attempts"), "max_attempts: must be a whole number of at least 1"),
    ],
    ids=["wait", "attempts"],
)
def test_what_would_be_right_is_said(make: Make, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(-1)
    assert str(refused.value) == says
