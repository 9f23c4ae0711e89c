"""A voucher list as the library shows it: with its status as of the call."""

from __future__ import annotations

from datetime import datetime

from attrs import asdict, frozen

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
        withdrawn: codes taken back before anybody had them.
        available: codes that can be given out: `uploaded - distributed - reserved - withdrawn`.
        low_stock_at: when the list is running low, or None.
        created_at: in UTC.
        updated_at: the last change of the list or its codes by a person, in UTC.
        version: pass it back to an edit, so that nobody's change is overwritten.
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
    available: int
    low_stock_at: LowStock | None
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


def archived_view_of(voucher_list: VoucherList, campaign_ids: tuple[str, ...], now: datetime) -> ArchivedList:
    """Return the view of a list that was just archived."""
    shown = asdict(view_of(voucher_list, now), recurse=False)
    return ArchivedList(campaign_ids=campaign_ids, **shown)


def view_of(voucher_list: VoucherList, now: datetime) -> ListView:
    """Return the view of a list at `now`."""
    status = voucher_list.status_at(now)
    counts = voucher_list.counts
    return ListView(
        id=voucher_list.id,
        partner=voucher_list.partner,
        tag=voucher_list.tag,
        name=voucher_list.name,
        description=voucher_list.description,
        expires_at=voucher_list.expires_at,
        status=status,
        allowed=allowed_actions(status),
        campaigns=voucher_list.campaigns,
        uploaded=counts.uploaded,
        distributed=counts.distributed,
        reserved=counts.reserved,
        withdrawn=counts.withdrawn,
        available=counts.available,
        low_stock_at=voucher_list.low_stock_at,
        created_at=voucher_list.created_at,
        updated_at=voucher_list.updated_at,
        version=voucher_list.version,
    )
