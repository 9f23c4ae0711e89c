"""The audit log: every change with its actor, time, and values before and after."""

from __future__ import annotations

from partner_vouchers.domain.arguments import require_bool
from partner_vouchers.domain.text import could_be_id, require_id
from partner_vouchers.ports import AuditEntry, Transaction
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of, require_limit
from partner_vouchers.usecases.wiring import Group, require_actor

_RESULT = "the audit log"
_NEWEST_FIRST = "the audit log, newest first"


class AuditGroup(Group):
    """The append-only log of changes; reached as `vouchers.audit`."""

    def entries(
        self,
        *,
        list_id: str | None = None,
        actor: str | None = None,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Page[AuditEntry]:
        """Return a page of changes, by default the oldest first.

        Args:
            list_id: only changes of this list, which may be archived or deleted.
            actor: only changes by this person or program.
            after: the `next` of the page before.
            limit: how many entries, from 1 to 1000.
            newest_first: whether the latest change comes first.

        Raises:
            InvalidInput: `limit` is out of range, or another argument has a wrong type.
            InvalidCursor: `after` is not a cursor of this log in this order.
        """
        limit = require_limit(limit)
        result = _NEWEST_FIRST if require_bool("newest_first", newest_first) else _RESULT
        place = decode_cursor(result, after, int)
        actor = require_actor(actor)
        if list_id is not None and not could_be_id(require_id("list_id", list_id)):
            return Page((), None)

        def read(tx: Transaction) -> list[AuditEntry]:
            if newest_first:
                return tx.audit.latest(list_id, actor, place[0] if place else None, limit + 1)
            return tx.audit.entries(list_id, actor, max(place[0], 0) if place else 0, limit + 1)

        return page_of(result, self._wiring.read(read), limit, lambda entry: (entry.position,))
