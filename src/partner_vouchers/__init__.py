"""Give each user who earned one a voucher code of their own, exactly once."""

from partner_vouchers.domain.assignment import Assignment, BatchOutcome, Reward
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.codes import CodeFault, CodeFormat, CodeRules
from partner_vouchers.domain.duplicates import DuplicatePolicy, Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.list_view import ListView
from partner_vouchers.domain.promo_events import (
    CouponRedeemed,
    CouponReverted,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    PromoEvent,
    VoucherRewarded,
)
from partner_vouchers.domain.properties import WireForm
from partner_vouchers.domain.stock import PercentUsed
from partner_vouchers.domain.uploads import FileFaultKind, RowFaultKind, Upload, UploadStatus
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.usecases.importing import Progress
from partner_vouchers.usecases.paging import Page
from partner_vouchers.vouchers import PartnerVouchers

__all__ = [
    "Assignment",
    "BatchOutcome",
    "CampaignLink",
    "CodeFault",
    "CodeFormat",
    "CodeRules",
    "CouponRedeemed",
    "CouponReverted",
    "CouponRewarded",
    "DuplicatePolicy",
    "Everywhere",
    "FileFaultKind",
    "ListView",
    "Page",
    "PartnerVouchers",
    "PartnerVouchersError",
    "PerPartner",
    "PerPartnerAndTag",
    "PercentUsed",
    "PointsCredited",
    "PointsDebited",
    "Progress",
    "PromoEvent",
    "RepeatPolicy",
    "Reward",
    "RowFaultKind",
    "Status",
    "Upload",
    "UploadStatus",
    "VoucherRewarded",
    "WireForm",
]
