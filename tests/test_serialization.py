from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import pytest

from docs._generate import keys_of, returned_classes
from partner_vouchers import CouponRedeemed, PartnerVouchers, PointsDebited, to_dict
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.promo_events import PROMO_EVENTS
from partner_vouchers.errors import InvalidInput, LinkedContentFailed, UnknownList, VoucherifyNotFound
from tests.support.ids import shown

CODE = "PM500FF-2026-XYZ"


@pytest.fixture
def vouchers() -> PartnerVouchers:
    vouchers = PartnerVouchers(MemoryStorage())
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(
        partner="Puma", tag="winter", name="Winter Sale", expires_at=datetime(2199, 1, 1, tzinfo=UTC)
    )
    vouchers.uploads.add(winter.id, f"{CODE}\nwrong {CODE}\n".encode(), filename="c.csv", uploaded_by="ops")
    vouchers.campaigns.link(winter.id, "CMP1")
    return vouchers


def test_a_type_checker_knows_objects_from_lists(vouchers: PartnerVouchers) -> None:
    page = assert_type(to_dict(vouchers.lists.find()), dict[str, Any])
    lists = assert_type(to_dict(list(vouchers.lists.find())), list[Any])
    assert page["items"] == lists


@pytest.mark.parametrize(
    "value, plain",
    [
        (None, None),
        (True, True),
        (5, 5),
        (0.5, 0.5),
        ("text", "text"),
        (Status.ACTIVE, "Active"),
        (datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC), "2027-03-31T23:59:59Z"),
        (
            datetime(2027, 3, 31, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2027-03-31T00:00:00Z",
        ),
        (date(2027, 3, 31), "2027-03-31"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("9.90"), "9.90"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({Status.PAUSED: date(2027, 3, 31)}, {"Paused": "2027-03-31"}),
    ],
    ids=repr,
)
def test_values_become_json(value: object, plain: object) -> None:
    found = to_dict(value)
    assert found == plain
    assert json.loads(json.dumps(found)) == plain
    assert type(found) in (type(None), bool, int, float, str, list, dict)


def test_codes_are_masked_unless_whole_ones_are_asked_for(vouchers: PartnerVouchers) -> None:
    reward = vouchers.codes.assign(campaign_id="CMP1", user_id="user-1")
    upload = vouchers.uploads.find(list_id="1").items[0]
    for value in (reward, reward.assignment, reward.event, vouchers.uploads.errors(upload.id), upload):
        assert CODE not in json.dumps(to_dict(value))
    assert to_dict(reward, codes="whole")["code"] == CODE
    assert to_dict(reward.event, codes="whole")["voucher_code"] == CODE
    assert to_dict(vouchers.uploads.errors(upload.id), codes="whole")[0]["raw"] == f"wrong {CODE}"


def test_codes_among_the_properties_of_an_event_are_masked(vouchers: PartnerVouchers) -> None:
    event = vouchers.codes.assign(campaign_id="CMP1", user_id="user-42").event
    for form in (None, "legacy"):
        assert CODE not in str(to_dict(event.properties(form)))
        assert CODE in str(to_dict(event.properties(form), codes="whole"))
    coupon = CouponRedeemed(
        occurred_at=event.occurred_at, user_id="user-42", order_id="991", coupon_code=CODE, coupon_id="C1"
    )
    assert CODE not in str(to_dict(coupon.properties()))


def test_a_text_of_another_system_that_may_contain_a_code_is_masked() -> None:
    error = VoucherifyNotFound(reason="see the log", status=404, message=f"no {CODE}", details=f"no {CODE}")
    found = to_dict(LinkedContentFailed(name="Puma", reason="failed", cause=error))
    assert CODE not in str(found)
    assert found["cause"]["message"] == str(error)


def test_a_page_has_items_and_next(vouchers: PartnerVouchers) -> None:
    page = to_dict(vouchers.lists.find())
    assert list(page) == ["items", "next"]
    assert page["items"][0]["status"] == "Active"
    assert page["items"][0]["allowed"] == ["pause", "edit", "upload codes", "archive"]


def test_properties_with_plain_values_are_included(vouchers: PartnerVouchers) -> None:
    assert to_dict(vouchers.uploads.find(list_id="1").items[0])["error_count"] == 1


def test_an_event_is_named(vouchers: PartnerVouchers) -> None:
    entry = to_dict(vouchers.audit.entries(limit=1))["items"][0]
    assert entry["event"]["event"] == "partner.added"
    assert entry["event"]["changes"] == [{"field": "partner", "before": None, "after": "Puma"}]


def test_an_error_has_its_code_message_and_facts() -> None:
    error = UnknownList(list_id="99")
    assert to_dict(error) == {"error": "unknown_list", "message": str(error), "list_id": "99"}


@pytest.mark.parametrize(
    "value", [b"bytes", object(), Path("x"), iter([1]), {1, 2}.__iter__, lambda: 1], ids=shown
)
def test_what_the_library_never_returns_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        to_dict(value)
    assert refused.value.field == "value"


def test_codes_are_masked_or_whole() -> None:
    with pytest.raises(InvalidInput) as refused:
        to_dict(1, codes="all")  # type: ignore[call-overload]
    assert refused.value.field == "codes"


def test_a_code_among_further_properties_of_an_event_is_masked() -> None:
    event = PointsDebited(
        occurred_at=datetime(2026, 11, 28, tzinfo=UTC),
        user_id="ann",
        wallet_id="W1",
        source="API",
        points=1,
        transaction_id="T1",
        extra={"Coupon Code": CODE, "Sale Channel": "shop"},
    )
    assert to_dict(event)["extra"] == {"Coupon Code": "PM…", "Sale Channel": "shop"}
    assert to_dict(event, codes="whole")["extra"]["Coupon Code"] == CODE


def test_every_class_that_a_call_returns_is_documented_with_its_keys() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    documented = {
        name: tuple(re.findall(r"`(\w+)`", keys))
        for name, keys in re.findall(r"^\| `(\w+)` \| [^|]* \| (`.*`) \|$", page, re.MULTILINE)
    }
    found = returned_classes()
    assert {kind.__name__ for kind in found} >= {"ListView", "Reward", "Upload", "RowFault", "Page", "Stock"}
    for kind in (*found, *PROMO_EVENTS):
        assert documented[kind.__name__] == keys_of(kind)


def test_the_documented_keys_are_those_of_real_objects(vouchers: PartnerVouchers) -> None:
    reward = vouchers.codes.assign(campaign_id="CMP1", user_id="user-1")
    upload = vouchers.uploads.find(list_id="1").items[0]
    for value in (
        reward,
        reward.assignment,
        reward.event,
        upload,
        vouchers.lists.get("1"),
        vouchers.lists.stock("1"),
        vouchers.lists.find(),
        vouchers.uploads.errors(upload.id)[0],
        vouchers.uploads.validate("1", b"A\n", filename="c.csv"),
        vouchers.campaigns.lists_of("CMP1")[0],
        vouchers.audit.entries().items[0],
        vouchers.partners.all()[0],
    ):
        assert tuple(to_dict(value)) == keys_of(type(value))
