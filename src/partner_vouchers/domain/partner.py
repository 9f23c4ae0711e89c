"""Partners: the brands whose codes are given out."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidPartnerName


@frozen
class Partner:
    """A brand partner.

    Attributes:
        name: any text of 1 to 255 characters without control characters, compared case-sensitively and exactly.
        created_at: when it was added, in UTC.
    """

    name: str
    created_at: datetime


def new_partner(name: str, now: datetime) -> Partner:
    """Return a new partner.

    Raises:
        InvalidPartnerName: the name is empty, blank, longer than 255 characters, or holds a control character.
    """
    return Partner(require_name("name", name, InvalidPartnerName), now)
