"""A voucher list as the library shows it, with its status as of the call."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import fields, frozen

from partner_vouchers.domain.lifecycle import Action, Status, allowed_actions
from partner_vouchers.domain.stock import LowStock
from partner_vouchers.domain.voucher_list import VoucherList


@frozen(kw_only=True)
class ListView:
    """A voucher list at one instant: a row of the lists page.

    Attributes:
        id: the list's id.
        partner: the name of its partner.
        tag: the list tag, lower case.
        name: used in communication.
        description: the usage conditions.
        expires_at: the last instant at which a code is given out, in UTC.
        status: the status as of the call.
        allowed: the actions that the status allows.
        campaigns: how many campaigns are linked.
        uploaded: codes accepted in the list's lifetime.
        distributed: codes given to users.
        reserved: codes set aside.
        withdrawn: codes taken back before a user had them.
        retired: codes that were revoked and are never given again.
        available: codes that can be given out: `uploaded` without all of the above.
        low_stock_at: when the list is running low, or None.
        expiring_soon: how long before the expiry `list.expiring_soon` is written, or None.
        created_at: in UTC.
        updated_at: the last change of the list or its codes by a person, in UTC.
        version: pass it to an edit, so that no other change is overwritten.
    """

    id: str
    partner: str
    tag: str
    name: str
    description: str
    expires_at: datetime
    status: Status
    allowed: tuple[Action, ...]
    campaigns: int
    uploaded: int
    distributed: int
    reserved: int
    withdrawn: int
    retired: int
    available: int
    low_stock_at: LowStock | None
    expiring_soon: timedelta | None
    created_at: datetime
    updated_at: datetime
    version: int


@frozen(kw_only=True)
class ArchivedList(ListView):
    """A list that was just archived.

    Attributes:
        campaign_ids: the campaigns that it is still linked to, and that get no more codes from it.
    """

    campaign_ids: tuple[str, ...]


def view_of(voucher_list: VoucherList, now: datetime) -> ListView:
    """Return the view of a list at `now`."""
    return ListView(**_shown(voucher_list, now))


def archived_view_of(voucher_list: VoucherList, campaign_ids: tuple[str, ...], now: datetime) -> ArchivedList:
    """Return the view of a list that was just archived."""
    return ArchivedList(campaign_ids=campaign_ids, **_shown(voucher_list, now))


_AS_STORED = {each.name for each in fields(ListView)} & {each.name for each in fields(VoucherList)}
_COUNTERS = ("uploaded", "distributed", "reserved", "withdrawn", "retired", "available")


def _shown(voucher_list: VoucherList, now: datetime) -> dict[str, Any]:
    status = voucher_list.status_at(now)
    return {
        **{name: getattr(voucher_list, name) for name in _AS_STORED},
        **{name: getattr(voucher_list.counts, name) for name in _COUNTERS},
        "status": status,
        "allowed": allowed_actions(status),
    }
