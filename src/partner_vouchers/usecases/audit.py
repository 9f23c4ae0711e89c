"""The audit log: every change, who made it, when, from what to what."""

from __future__ import annotations

from partner_vouchers.ports import AuditEntry
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.paging import Page, require_limit, require_position
from partner_vouchers.usecases.wiring import Wiring, require_actor


class AuditGroup:
    """The append-only log of changes; reached as `vouchers.audit`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def entries(
        self,
        *,
        list_id: str | None = None,
        actor: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[AuditEntry]:
        """Return a page of changes, the oldest first.

        Args:
            list_id: only changes of this list, which may be archived or deleted.
            actor: only changes by this person or program.
            after: the `next` of the page before.
            limit: how many entries, from 1 to 1000.

        Raises:
            InvalidInput: `limit` is out of range, or `actor` is no name.
            InvalidCursor: `after` is no cursor of this log.
        """
        limit = require_limit(limit)
        require_position(after, "the audit log")
        actor = require_actor(actor)
        start = int(after or 0)
        found = transact(
            self._wiring, lambda tx: tx.audit.entries(list_id, actor, start, limit + 1), write=False
        )
        shown = found[:limit]
        return Page(tuple(shown), str(shown[-1].position) if len(found) > limit else None)
