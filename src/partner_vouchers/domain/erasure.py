"""Forgetting a user: the pseudonym that takes the place of the id, and the report."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent

_PREFIX = "forgotten:"
_PSEUDONYM = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")


def new_pseudonym(token: str) -> str:
    """Return the pseudonym that is made of 32 random hexadecimal digits."""
    return f"{_PREFIX}{token}"


def is_pseudonym(user_id: object) -> bool:
    """Return whether an id is the pseudonym of a user who was forgotten.

    Example:
        >>> is_pseudonym(new_pseudonym("0" * 32)), is_pseudonym("user-42")
        (True, False)
    """
    return isinstance(user_id, str) and _PSEUDONYM.fullmatch(user_id) is not None


def is_of_forgotten_user(event: Event) -> bool:
    """Return whether an event must not be sent: a promo event, which would create a profile at its receiver."""
    return isinstance(event, PromoEvent) and event.user_id.startswith(_PREFIX) and is_pseudonym(event.user_id)


@frozen(kw_only=True)
class ErasureReport:
    """The counts of what was found of a forgotten user.

    Attributes:
        assignments: how many codes the user was given, revoked ones included.
        reservations: how many reservations of the user are stored.
        redemptions: how many redemptions of the user's codes are stored.
        cancelled: by sink, how many promo events are never sent to it.
        delivered: by sink, how many promo events it has taken, or is being sent, of those that are still stored. Have
            the user erased there, too.
    """

    assignments: int = 0
    reservations: int = 0
    redemptions: int = 0
    cancelled: Mapping[str, int] = field(factory=dict)
    delivered: Mapping[str, int] = field(factory=dict)
