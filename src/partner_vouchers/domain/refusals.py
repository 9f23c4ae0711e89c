"""Refused requests, counted by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum

from attrs import frozen

from partner_vouchers.domain.assignment import EXHAUSTED, NOT_ELIGIBLE
from partner_vouchers.domain.limits import Per
from partner_vouchers.errors import (
    CampaignNotLinked,
    CodesExhausted,
    LimitReached,
    NoCodeAvailable,
    NotEligible,
)


class RefusalReason(StrEnum):
    """Why a request for a code was refused."""

    NOT_LINKED = "not linked"
    USER_LIMIT = "user limit"
    CAMPAIGN_LIMIT = "campaign limit"
    INACTIVE_LIST = "inactive list"
    NOT_ELIGIBLE = "not eligible"
    EXHAUSTED = "exhausted"


@frozen
class RefusalCount:
    """How often requests in a campaign were refused on one day for one reason.

    Attributes:
        day: the day in UTC.
        reason: why.
        list_id: None counts requests; otherwise how often this list was asked and refused.
        count: how often.
    """

    day: date
    reason: RefusalReason
    list_id: str | None
    count: int


Refusal = CampaignNotLinked | NoCodeAvailable


def refusal_reason(refusal: Refusal) -> RefusalReason:
    """Return the reason of a refusal as a whole."""
    if isinstance(refusal, CampaignNotLinked):
        return RefusalReason.NOT_LINKED
    if isinstance(refusal, LimitReached):
        return RefusalReason.USER_LIMIT if refusal.per == Per.USER else RefusalReason.CAMPAIGN_LIMIT
    if isinstance(refusal, CodesExhausted):
        return RefusalReason.EXHAUSTED
    return RefusalReason.NOT_ELIGIBLE if isinstance(refusal, NotEligible) else RefusalReason.INACTIVE_LIST


_BY_WORD = {EXHAUSTED: RefusalReason.EXHAUSTED, NOT_ELIGIBLE: RefusalReason.NOT_ELIGIBLE}


def refusal_keys(
    reason: RefusalReason, lists: tuple[tuple[str, str], ...]
) -> Iterator[tuple[RefusalReason, str | None]]:
    """Yield what one refused request counts as: once for the request, and once for each of `NoCodeAvailable.lists`."""
    yield reason, None
    for list_id, word in lists:
        yield _BY_WORD.get(word, RefusalReason.INACTIVE_LIST), list_id
