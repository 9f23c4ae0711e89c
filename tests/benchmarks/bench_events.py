"""How fast events become JSON, beside `json.dumps` on plain dicts of the same content."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.sinks.clevertap import CleverTapSink
from partner_vouchers.wire.cloud_events import CloudEvents
from partner_vouchers.wire.wording import Wording, to_json
from tests.benchmarks.measure import compare, random_codes, seconds

EVENTS = 100_000
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entries() -> list[OutboxEntry]:
    """Return events as an outbox has them: of a few lists, of which each event has its own copy of the facts."""
    return [
        OutboxEntry(
            f"0123456789abcdef-{number}",
            number,
            VoucherRewarded(
                occurred_at=START + timedelta(milliseconds=number),
                user_id=f"user-{number}",
                campaign_id="CMP123456",
                source="Campaign",
                voucher_code=code,
                list_id="1837",
                list_tag="winter_sale_500",
                list_name="Winter Sale",
                list_description="Winter Sale 2024 - ₹500 off on orders above ₹2000",
                list_expiry=datetime(2027, 3, 31 - number % 5, 23, 59, 59, tzinfo=UTC),
                partner="Puma",
            ),
        )
        for number, code in enumerate(random_codes(EVENTS, seed=1))
    ]


def properties(entry: OutboxEntry) -> str:
    assert isinstance(entry.event, VoucherRewarded)
    return to_json(entry.event.properties())


_WORDING = Wording({"CT Partner Voucher Rewarded": "Voucher Rewarded"}, {})
_SINK = CleverTapSink(account_id="ACCOUNT", passcode="PASSCODE", region="in1", names=_WORDING.names)


def as_record(entry: OutboxEntry) -> str:
    return to_json(_SINK.record_of(entry.event))


_CLOUD_EVENTS = CloudEvents(_WORDING, "/partner-vouchers")


def envelope(entry: OutboxEntry) -> str:
    return _CLOUD_EVENTS.to_json(entry)


@pytest.mark.parametrize("said", [properties, as_record, envelope], ids=lambda said: said.__name__)
def test_serialising_beside_plain_dicts(said: Callable[[OutboxEntry], str]) -> None:
    found = entries()
    plain = [json.loads(said(entry)) for entry in found]

    def dump_plain() -> float:
        return seconds(lambda: [json.dumps(each) for each in plain]) / EVENTS

    def serialise() -> float:
        return seconds(lambda: [said(entry) for entry in found]) / EVENTS

    what = f"{said.__name__}, an event"
    compare("Events on the wire", what, dump_plain, serialise, beside="json.dumps of plain dicts", goal=2)
