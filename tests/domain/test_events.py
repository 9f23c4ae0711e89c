from __future__ import annotations

from partner_vouchers.domain import events
from partner_vouchers.domain.events import (
    AuditedEvent,
    CodeEvent,
    Event,
    ListEvent,
    StockEvent,
    UnreadableEvent,
)
from partner_vouchers.domain.promo_events import PROMO_EVENTS

OWN: list[type[Event]] = [
    found
    for found in vars(events).values()
    if isinstance(found, type)
    and issubclass(found, Event)
    and found not in (Event, AuditedEvent, ListEvent, StockEvent, CodeEvent, UnreadableEvent)
]
CONCRETE = [*PROMO_EVENTS, *OWN]


def test_the_names_that_receivers_rely_on_never_change() -> None:
    assert {found.__name__: found.event_name for found in CONCRETE} == {
        "VoucherRewarded": "CT Partner Voucher Rewarded",
        "CouponRewarded": "CT Coupon Rewarded",
        "CouponRedeemed": "CT Coupon Redeemed",
        "CouponReverted": "CT Coupon Reverted",
        "PointsCredited": "CT Points Credited",
        "PointsDebited": "CT Points Debited",
        "PartnerAdded": "partner.added",
        "ListCreated": "list.created",
        "ListEdited": "list.edited",
        "ListPaused": "list.paused",
        "ListActivated": "list.activated",
        "ListArchived": "list.archived",
        "ListDeleted": "list.deleted",
        "CampaignLinked": "campaign.linked",
        "CampaignUnlinked": "campaign.unlinked",
        "LimitsSet": "campaign.limits_set",
        "UploadCompleted": "upload.completed",
        "UploadFailed": "upload.failed",
        "UploadWithdrawn": "upload.withdrawn",
        "StockLow": "list.running_low",
        "StockExhausted": "list.exhausted",
        "ListExpired": "list.expired",
        "ListExpiringSoon": "list.expiring_soon",
        "AssignmentTakenBack": "assignment.revoked",
        "CodeRevoked": "code.revoked",
        "CodeRevealed": "code.revealed",
        "CodesDownloaded": "codes.downloaded",
        "CodeRedeemed": "code.redeemed",
        "CodeRedemptionReverted": "code.redemption_reverted",
        "CodeRedeemedUndistributed": "code.redeemed_undistributed",
        "RedemptionsReconciled": "redemptions.reconciled",
    }


def test_an_event_name_means_one_thing() -> None:
    assert len({found.event_name for found in CONCRETE}) == len(CONCRETE)
