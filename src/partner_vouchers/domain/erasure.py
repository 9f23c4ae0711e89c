"""The report of a user who was forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


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
