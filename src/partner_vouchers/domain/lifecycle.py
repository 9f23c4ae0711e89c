"""The status of a voucher list, and what each status allows: one table, from which all else follows.

`STATUS_TABLE` says which actions a status allows. Expired is derived and never stored: a list is
Expired while `now > expires_at`, so no job has to run for a list to expire, and a code can still be
given out at the very instant of `expires_at`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import frozen


class State(StrEnum):
    """The stored part of a list's status."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    ARCHIVED = "Archived"


class Status(StrEnum):
    """The status of a list at a given instant."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    EXPIRED = "Expired"
    ARCHIVED = "Archived"


ACTIVE: Final = Status.ACTIVE
"""For what each assignment asks: Python 3.11 reads a name of a module in a 25th of the time of `Status.ACTIVE`."""


class Action(StrEnum):
    """An action on a list."""

    PAUSE = "pause"
    ACTIVATE = "activate"
    EDIT = "edit"
    UPLOAD = "upload codes"
    ARCHIVE = "archive"


@frozen
class StatusRule:
    """One row of the table.

    Attributes:
        status: the status.
        colour: the colour in which a lists page shows it.
        meaning: what it means to users of the list.
        allowed: the actions that it allows, in the order in which a page offers them.
    """

    status: Status
    colour: str
    meaning: str
    allowed: tuple[Action, ...]


STATUS_TABLE: tuple[StatusRule, ...] = (
    StatusRule(
        Status.ACTIVE,
        "green",
        "available to campaigns",
        (Action.PAUSE, Action.EDIT, Action.UPLOAD, Action.ARCHIVE),
    ),
    StatusRule(
        Status.PAUSED,
        "orange",
        "campaigns cannot use codes",
        (Action.ACTIVATE, Action.EDIT, Action.UPLOAD, Action.ARCHIVE),
    ),
    StatusRule(Status.EXPIRED, "red", "its expiry has passed", (Action.EDIT, Action.ARCHIVE)),
    StatusRule(Status.ARCHIVED, "gray", "for the record only", ()),
)

_RULES = {rule.status: rule for rule in STATUS_TABLE}


def allowed_actions(status: Status) -> tuple[Action, ...]:
    """Return the actions that `status` allows."""
    return _RULES[status].allowed


@frozen
class StatusCriteria:
    """A status, put into facts that a storage keeps, so that no storage repeats the rule.

    Attributes:
        states: the stored states that a list may have.
        expired: True for lists with `expires_at < now`, False for those with `expires_at >= now`,
            None where the expiry does not matter.
        now: the instant to compare with.
    """

    states: tuple[State, ...]
    expired: bool | None
    now: datetime

    def meets(self, state: State, expires_at: datetime) -> bool:
        """Tell whether a list with this stored state and expiry is looked for."""
        return state in self.states and self.expired in (None, expires_at < self.now)


def criteria_for(status: Status, now: datetime) -> StatusCriteria:
    """Return what to look for in a storage to find the lists that have `status` at `now`."""
    if status is Status.ARCHIVED:
        return StatusCriteria((State.ARCHIVED,), None, now)
    if status is Status.EXPIRED:
        return StatusCriteria((State.ACTIVE, State.PAUSED), True, now)
    return StatusCriteria((State(status.value),), False, now)
