"""What a refusal says: the argument, and what would be right. Hosts show these texts to people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from partner_vouchers.domain.assignment import new_request
from partner_vouchers.domain.campaigns import RepeatPolicy, new_link
from partner_vouchers.domain.codes import CodeFormat, unstorable
from partner_vouchers.domain.expiry import new_expiry, require_aware
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.stock import Counts, PercentUsed, new_low_stock
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.domain.uploads import check_filename, nothing_to_upload, require_header
from partner_vouchers.domain.voucher_list import new_tag
from partner_vouchers.errors import (
    ActionNotAllowed,
    InvalidInput,
    ListDistributed,
    ListLinked,
    PartnerVouchersError,
)
from tests.domain.examples import EXPIRY, NOW, a_list, a_list_that_is

_BEFORE_THE_FIRST_YEAR = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
_TODAY = NOW.date()
_DATE_WITHOUT_ZONE = (
    'expires_at: a bare date needs the time zone in which the day ends, such as zone=ZoneInfo("Asia/Kolkata")'
)


def _link(**changed: Any) -> object:
    link = {"repeat": RepeatPolicy.SAME_CODE, "priority": 0, "eligibility": None, **changed}
    return new_link(list_id="1", campaign_id="CMP1", now=NOW, **link)


REFUSALS: dict[str, Callable[[], object]] = {
    "campaign_id: pass either campaign_id or list_id": lambda: new_request("CMP1", "1", None),
    "idempotency_key: must be a string of 1 to 255 characters without control characters": lambda: (
        new_request("CMP1", None, "")
    ),
    "repeat: must be a RepeatPolicy such as RepeatPolicy.SAME_CODE, not str": lambda: _link(repeat="SAME"),
    "priority: must be a whole number of 32 bits": lambda: _link(priority=2**31),
    "max_length: must be a number of characters from 1 to 10000": lambda: CodeFormat(max_length=0),
    "clock: must be a datetime, not str": lambda: require_aware("clock", "noon"),
    "clock: has no time zone; pass an aware datetime, such as one with tzinfo=UTC": lambda: require_aware(
        "clock", NOW.replace(tzinfo=None)
    ),
    "clock: must lie within the years 1 to 9999 in UTC": lambda: require_aware(
        "clock", _BEFORE_THE_FIRST_YEAR
    ),
    "zone: belongs to a bare date; a datetime names its own time zone": lambda: new_expiry(EXPIRY, UTC, NOW),
    "zone: must be a tzinfo such as a ZoneInfo, not str": lambda: new_expiry(_TODAY, "UTC", NOW),  # type: ignore[arg-type]
    _DATE_WITHOUT_ZONE: lambda: new_expiry(_TODAY, None, NOW),
    "expires_at: must be a datetime or a date, not str": lambda: new_expiry("soon", None, NOW),  # type: ignore[arg-type]
    "expires_at: must lie within the years 1 to 9999 in UTC": lambda: new_expiry(
        date(9999, 12, 31), timezone(-timedelta(hours=12)), NOW
    ),
    "expires_at: 2026-11-21T12:00:00+00:00 is not in the future (it is 2026-11-21T12:00:00+00:00)": (
        lambda: new_expiry(NOW, None, NOW)
    ),
    "low_stock_at: a percentage used must be a whole number from 1 to 100": lambda: new_low_stock(
        PercentUsed(0)
    ),
    "low_stock_at: must be a number of codes left from 0 to 1,000,000, or PercentUsed(n), or None": lambda: (
        new_low_stock(-1)
    ),
    "partner: must be a string, not int": lambda: require_name("partner", 1),
    "partner: must not be empty": lambda: require_name("partner", " "),
    "partner: must not contain control characters": lambda: require_name("partner", "a\0"),
    "description: must not contain control characters other than line breaks and tabs": lambda: require_text(
        "description", "a\0"
    ),
    "header: must be True, False or None": lambda: require_header("yes"),
    "zone: belongs to a bare date; pass the date as expires_at": lambda: a_list().edit(NOW, zone=UTC),
    "name: must not be empty": lambda: a_list().edit(NOW, name=""),
    "description: must be a string, not int": lambda: a_list().edit(NOW, description=1),  # type: ignore[arg-type]
    "tag: must not contain white space; use _ or - between words": lambda: new_tag("winter sale"),
}


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_names_the_argument_and_says_what_would_be_right(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        REFUSALS[text]()
    assert str(refused.value) == text


@pytest.mark.parametrize(
    "refuse, error",
    [
        (lambda: a_list_that_is(Status.ARCHIVED).require_not_archived("withdraw"), ActionNotAllowed),
        (lambda: a_list().delete(NOW, ("CMP1",)), ListLinked),
        (lambda: a_list(counts=Counts(10, distributed=1)).delete(NOW, ()), ListDistributed),
    ],
    ids=["archived", "linked", "distributed"],
)
def test_a_refused_action_names_the_list(
    refuse: Callable[[], object], error: type[PartnerVouchersError]
) -> None:
    with pytest.raises(error) as refused:
        refuse()
    assert getattr(refused.value, "list_id") == "1837"  # noqa: B009


def test_a_refused_file_says_what_to_do() -> None:
    named = check_filename("codes.xlsx")
    assert named is not None
    assert named.message == "the file name does not end in .csv; save the codes as a CSV file"
    assert nothing_to_upload(0).message == "the file has no codes"
    assert nothing_to_upload(3).message == "no row of the file can be accepted; see the errors of its rows"


@pytest.mark.parametrize(
    "code, text",
    [
        ("", "the row is empty"),
        ("PM5 0", "character 4 is U+0020 SPACE"),
        ("PM\t5", "character 3 is U+0009 a control character"),
    ],
)
def test_a_refused_code_is_told_without_repeating_it(code: str, text: str) -> None:
    fault = CodeFormat().fault(code)
    assert fault is not None
    assert fault[1] == text


@pytest.mark.parametrize(
    "code, text",
    [
        ("PM\n5\0", "character 5 is U+0000 a control character"),
        ("PM\n\ud800", "character 4 is U+D800 a control character"),
    ],
)
def test_what_no_storage_can_keep_is_told_by_its_place(code: str, text: str) -> None:
    fault = unstorable(code)
    assert fault is not None
    assert fault[1] == text
    assert unstorable("PM\n5") is None
