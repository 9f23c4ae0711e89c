"""Links between voucher lists and promo campaigns."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from partner_vouchers.domain.arguments import require_instance, require_whole
from partner_vouchers.domain.text import require_name, require_own_id


class RepeatPolicy(StrEnum):
    """The result of a user's repeated request in the same campaign.

    `SAME_CODE`: the code that they already have.
    `SAME_WHILE_VALID`: the same code while its list is neither expired nor archived; afterwards a new one.
    `NEW_CODE`: a new code each time.
    """

    SAME_CODE = "same code"
    SAME_WHILE_VALID = "same while valid"
    NEW_CODE = "new code"


@frozen(kw_only=True)
class CampaignLink:
    """A list that gives its codes to a campaign.

    Attributes:
        list_id: the list.
        campaign_id: the campaign, named by the host.
        repeat: the result of a user's repeated request.
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
    return CampaignLink(
        list_id=list_id,
        campaign_id=require_own_id("campaign_id", campaign_id),
        repeat=require_instance("repeat", repeat, RepeatPolicy, "RepeatPolicy.SAME_CODE"),
        priority=require_whole(
            "priority", priority, -(2**31), 2**31 - 1, "must be a whole number of 32 bits"
        ),
        eligibility=None if eligibility is None else require_name("eligibility", eligibility),
        linked_at=now,
    )
