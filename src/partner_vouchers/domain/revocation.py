"""Taking a code back from a user, and whether it may return to the pool."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import CodeRevoked
from partner_vouchers.errors import CodeMayBeKnown, RestockNotAllowed


@frozen
class Revocation:
    """A code that was taken back from a user. The assignment stays on record.

    Attributes:
        assignment: the assignment.
        revoked_at: when, in UTC.
        actor: who revoked it, or None where the caller did not say.
        reason: why, or None.
        restocked: whether the code returned to the pool; otherwise it is retired and never given again.
    """

    assignment: Assignment
    revoked_at: datetime
    actor: str | None
    reason: str | None
    restocked: bool

    @property
    def event(self) -> CodeRevoked:
        """The event `code.revoked` of this revocation."""
        given = self.assignment
        return CodeRevoked(
            occurred_at=self.revoked_at,
            assignment_id=given.id,
            list_id=given.list_id,
            campaign_id=given.campaign_id,
            user_id=given.user_id,
            masked_code=mask(given.code),
            reason=self.reason,
            restocked=self.restocked,
        )


class Obstacle(StrEnum):
    """Why a code may not return to the pool, or only with `force=True`."""

    REDEEMED = "the code was redeemed"
    LIST_ARCHIVED = "its list is archived"
    UPLOAD_WITHDRAWN = "its upload was withdrawn"
    EVENT_TAKEN = "a sink has taken its event"
    EVENT_IN_FLIGHT = "a call with its event is in flight"
    EVENT_REMOVED = "its event was removed by retention, so it may have been delivered"
    NO_SINK = "the storage knows no sink, so the user may have received the code in another way"


@frozen
class RestockRule:
    """One row of the table.

    Attributes:
        obstacle: the fact.
        forcible: whether `force=True` overrides it.
    """

    obstacle: Obstacle
    forcible: bool


RESTOCK_TABLE: tuple[RestockRule, ...] = (
    RestockRule(Obstacle.REDEEMED, forcible=False),
    RestockRule(Obstacle.LIST_ARCHIVED, forcible=False),
    RestockRule(Obstacle.UPLOAD_WITHDRAWN, forcible=False),
    RestockRule(Obstacle.EVENT_TAKEN, forcible=True),
    RestockRule(Obstacle.EVENT_IN_FLIGHT, forcible=True),
    RestockRule(Obstacle.EVENT_REMOVED, forcible=True),
    RestockRule(Obstacle.NO_SINK, forcible=True),
)
"""When a code may not return to the pool. Without these facts it may, also into a paused, expired or full list."""


def require_restock(assignment_id: str, facts: frozenset[Obstacle], *, force: bool) -> None:
    """Check that the code of an assignment may return to the pool, by the facts that are true of it.

    Raises:
        RestockNotAllowed: a fact forbids it for ever.
        CodeMayBeKnown: a fact forbids it without `force`.
    """
    for rule in RESTOCK_TABLE:
        if rule.obstacle in facts:
            if not rule.forcible:
                raise RestockNotAllowed(assignment_id=assignment_id, reason=rule.obstacle.value)
            if not force:
                raise CodeMayBeKnown(assignment_id=assignment_id, reason=rule.obstacle.value)
