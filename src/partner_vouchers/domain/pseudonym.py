"""The pseudonym that takes the place of a user who was forgotten."""

from __future__ import annotations

import re

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
