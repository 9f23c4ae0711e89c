"""A sample event, to try a template without a voucher."""

from __future__ import annotations

from typing import Final

SAMPLE_EVENT: Final[dict[str, str | int]] = {
    "CT Source": "Promo Module",
    "campaignId": "CMP123456",
    "eventTimestamp": 1708351200,
    "listDescription": "Winter Sale - ₹500 off on orders above ₹2000",
    "listExpiry": "2027-03-31T23:59:59Z",
    "listTag": "winter_sale_500",
    "partner": "Puma",
    "source": "Campaign",
    "voucherCode": "SAMPLE-CODE",
    "voucherListId": "1837",
}
"""The properties of a *CT Partner Voucher Rewarded*; no list contains its code."""
