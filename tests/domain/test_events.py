from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain import events
from partner_vouchers.domain.events import Event, Recorded, StockEvent, VoucherRewarded, iso_utc
from tests.domain.examples import INSTANTS, TEXTS

SPECIFIED_EXAMPLE = {
    "CT Source": "Promo Module",
    "campaignId": "CMP123456",
    "eventTimestamp": 1708351200,
    "listDescription": "Winter Sale 2024 - ₹500 off on orders above ₹2000",
    "listExpiry": "2024-03-31T23:59:59Z",
    "listTag": "winter_sale_500",
    "partner": "Puma",
    "source": "Campaign",
    "voucherCode": "PM500FF",
    "voucherListId": "1837",
}


def rewarded(**changed: Any) -> VoucherRewarded:
    fields: dict[str, Any] = {
        "occurred_at": datetime(2024, 2, 19, 14, tzinfo=UTC),
        "user_id": "user-42",
        "campaign_id": "CMP123456",
        "source": "Campaign",
        "voucher_code": "PM500FF",
        "list_id": "1837",
        "list_tag": "winter_sale_500",
        "list_name": "Winter Sale",
        "list_description": "Winter Sale 2024 - ₹500 off on orders above ₹2000",
        "list_expiry": datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC),
        "partner": "Puma",
    }
    return VoucherRewarded(**{**fields, **changed})


def test_the_wire_name_and_properties_are_the_specified_ones() -> None:
    assert rewarded().event_name == "CT Partner Voucher Rewarded"
    assert rewarded().properties() == SPECIFIED_EXAMPLE


def test_a_code_that_was_asked_of_a_list_has_no_campaign() -> None:
    properties = rewarded(campaign_id=None, source="API").properties()

    assert properties == {
        **{name: value for name, value in SPECIFIED_EXAMPLE.items() if name != "campaignId"},
        "source": "API",
    }


def test_instants_are_told_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert rewarded().properties() == SPECIFIED_EXAMPLE
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_user_is_the_identity_of_the_event_and_no_property() -> None:
    assert "user-42" not in rewarded().properties().values()


@given(occurred_at=INSTANTS, list_expiry=INSTANTS, description=TEXTS)
def test_properties_are_what_json_can_say(
    occurred_at: datetime, list_expiry: datetime, description: str
) -> None:
    event = rewarded(occurred_at=occurred_at, list_expiry=list_expiry, list_description=description)
    properties = event.properties()

    assert json.loads(json.dumps(properties)) == properties
    assert properties["listDescription"] == description
    timestamp = properties["eventTimestamp"]
    assert type(timestamp) is int
    assert timestamp <= occurred_at.timestamp() < timestamp + 1
    assert isinstance(properties["voucherListId"], str)


@pytest.mark.parametrize(
    "instant,shown",
    [
        pytest.param(datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC), "2024-03-31T23:59:59Z", id="UTC"),
        pytest.param(
            datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC), "2024-03-31T23:59:59Z", id="fraction"
        ),
        pytest.param(
            datetime(2024, 4, 1, 5, 29, 59, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2024-03-31T23:59:59Z",
            id="India",
        ),
    ],
)
def test_an_instant_on_the_wire(instant: datetime, shown: str) -> None:
    assert iso_utc(instant) == shown


# --- names -------------------------------------------------------------------------------------------

CONCRETE: list[type[Event]] = [
    found
    for found in vars(events).values()
    if isinstance(found, type) and issubclass(found, Event) and found not in (Event, Recorded, StockEvent)
]


def test_the_names_that_receivers_rely_on_never_change() -> None:
    assert {found.__name__: found.event_name for found in CONCRETE} == {
        "VoucherRewarded": "CT Partner Voucher Rewarded",
        "PartnerAdded": "partner.added",
        "ListCreated": "list.created",
        "ListEdited": "list.edited",
        "ListPaused": "list.paused",
        "ListActivated": "list.activated",
        "ListArchived": "list.archived",
        "ListDeleted": "list.deleted",
        "CampaignLinked": "campaign.linked",
        "CampaignUnlinked": "campaign.unlinked",
        "UploadCompleted": "upload.completed",
        "UploadFailed": "upload.failed",
        "UploadWithdrawn": "upload.withdrawn",
        "StockLow": "list.running_low",
        "StockExhausted": "list.exhausted",
        "ListExpired": "list.expired",
    }


def test_an_event_name_means_one_thing() -> None:
    assert len({found.event_name for found in CONCRETE}) == len(CONCRETE)


def test_what_happened_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        rewarded().user_id = "user-43"  # type: ignore[misc]


@given(one=st.text(), other=st.text())
def test_events_are_equal_when_they_say_the_same(one: str, other: str) -> None:
    assert (rewarded(list_name=one) == rewarded(list_name=other)) is (one == other)
