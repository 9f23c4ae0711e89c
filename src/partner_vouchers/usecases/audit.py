"""The audit log: every change with its actor, time, and values before and after."""

from __future__ import annotations

from partner_vouchers.domain.text import could_be_id, require_id
from partner_vouchers.ports import AuditEntry
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of, require_limit
from partner_vouchers.usecases.wiring import Group, require_actor

_RESULT = "the audit log"


class AuditGroup(Group):
    """The append-only log of changes; reached as `vouchers.audit`."""

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
            InvalidInput: `limit` is out of range, or another argument is not a string.
            InvalidCursor: `after` is not a cursor of this log.
        """
        limit = require_limit(limit)
        place = decode_cursor(_RESULT, after, int)
        start = max(place[0], 0) if place else 0
        actor = require_actor(actor)
        if list_id is not None and not could_be_id(require_id("list_id", list_id)):
            return Page((), None)
        found = self._wiring.read(lambda tx: tx.audit.entries(list_id, actor, start, limit + 1))
        return page_of(_RESULT, found, limit, lambda entry: (entry.position,))
