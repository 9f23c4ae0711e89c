"""Assign voucher codes to users, each code exactly once."""

from partner_vouchers.adapters.sql.tables import owns_table
from partner_vouchers.domain.assignment import Assignment, BatchOutcome, Reward, Unserved
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.codes import CodeFault, CodeFormat, CodeRules
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.duplicates import DuplicatePolicy, Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.limits import Limit, LimitUsage
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
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.reservation import Preview, Reservation, ReservationState
from partner_vouchers.domain.stock import PercentUsed
from partner_vouchers.domain.uploads import FileFaultKind, RowFaultKind, Upload, UploadStatus
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.serialization import to_dict
from partner_vouchers.usecases.delivery.backlog import Backlog
from partner_vouchers.usecases.delivery.dead_letters import DeadLetter
from partner_vouchers.usecases.delivery.relay import Relay
from partner_vouchers.usecases.events import DeliveryReport
from partner_vouchers.usecases.importing import UploadProgress
from partner_vouchers.usecases.paging import Page
from partner_vouchers.vouchers import PartnerVouchers

__version__ = "0.1.0"
"""The version of the library."""

__all__ = [
    "Assignment",
    "Backlog",
    "BatchOutcome",
    "CampaignLink",
    "CodeFault",
    "CodeFormat",
    "CodeRules",
    "CouponRedeemed",
    "CouponReverted",
    "CouponRewarded",
    "DeadLetter",
    "DeliveryReport",
    "DuplicatePolicy",
    "Everywhere",
    "FileFaultKind",
    "Limit",
    "LimitUsage",
    "ListView",
    "Page",
    "PartnerVouchers",
    "PartnerVouchersError",
    "PerPartner",
    "PerPartnerAndTag",
    "PercentUsed",
    "PointsCredited",
    "PointsDebited",
    "Preview",
    "PromoEvent",
    "RefusalCount",
    "RefusalReason",
    "Relay",
    "RepeatPolicy",
    "Reservation",
    "ReservationState",
    "RetryPolicy",
    "Reward",
    "RowFaultKind",
    "Status",
    "Unserved",
    "Upload",
    "UploadProgress",
    "UploadStatus",
    "VoucherRewarded",
    "WireForm",
    "__version__",
    "owns_table",
    "to_dict",
]
