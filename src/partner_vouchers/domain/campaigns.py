"""Links between voucher lists and promo campaigns."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput


class RepeatPolicy(StrEnum):
    """What a user gets who asks again in the same campaign.

    `SAME_CODE`: the code that they already have. `NEW_CODE`: a new code each time.
    """

    SAME_CODE = "same code"
    NEW_CODE = "new code"


@frozen(kw_only=True)
class CampaignLink:
    """A list that gives its codes to a campaign.

    Attributes:
        list_id: the list.
        campaign_id: the campaign, named by the host.
        repeat: what a user gets who asks again.
        priority: lists with a lower number give their codes first; among equals the older link.
        eligibility: the name of the host's rule that a user must meet, or None.
        linked_at: when it was first linked, in UTC.
    """

    list_id: str
    campaign_id: str
    repeat: RepeatPolicy
    priority: int
    eligibility: str | None
    linked_at: datetime


def require_campaign_id(value: object) -> str:
    """Return a campaign's id.

    Raises:
        InvalidInput: it is empty or holds a control character.
    """
    return require_name("campaign_id", value)


def new_link(
    *,
    list_id: str,
    campaign_id: str,
    repeat: object,
    priority: object,
    eligibility: object,
    now: datetime,
) -> CampaignLink:
    """Return a new link.

    Raises:
        InvalidInput: a value breaks its rule.
    """
    if not isinstance(repeat, RepeatPolicy):
        raise InvalidInput(field="repeat", reason="must be a RepeatPolicy")
    if isinstance(priority, bool) or not isinstance(priority, int) or not -(2**31) <= priority < 2**31:
        raise InvalidInput(field="priority", reason="must be a whole number of 32 bits")
    return CampaignLink(
        list_id=list_id,
        campaign_id=require_campaign_id(campaign_id),
        repeat=repeat,
        priority=priority,
        eligibility=None if eligibility is None else require_name("eligibility", eligibility),
        linked_at=now,
    )
