"""Assignments, computed from all that are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import dropwhile, islice

from partner_vouchers.adapters.simple.part import Part, Tx
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.errors import StorageError
from partner_vouchers.ports.codes import Assignments, Holding


class SimpleAssignments(Part[Tx], Assignments):
    """`Assignments` for a storage that can return all of them, or those that an index finds.

    Attributes:
        tx: the transaction of which this is a part. The subclass sets it.
    """

    def all_stored(self) -> Iterable[Assignment]:
        """Return all assignments, in any order."""
        raise NotImplementedError

    def stored_where(self, field: str, values: Collection[str]) -> Iterable[Assignment]:
        """Return the assignments of which a field has one of these values, in any order.

        It has a body, which looks at all. The field is `id`, `user_id`, `code` or `list_id`.
        """
        return (each for each in self.all_stored() if getattr(each, field) in values)

    def insert(self, assignment: Assignment) -> None:
        """Store a new assignment.

        Raises:
            StorageError: one with its id, which is that of its code, is stored already.
        """
        raise NotImplementedError

    def append_events(self, assignments: Sequence[Assignment]) -> None:
        """Put the events of new assignments into the outbox, in this order.

        It has a body, which gives them to `Outbox.append`. An outbox that keeps text takes the id of each assignment
        instead of its event.
        """
        self.tx.outbox.append([new.event for new in assignments])

    def place(self, assignment: Assignment) -> int:
        """Return a number by which the codes of a list are in upload order.

        It has a body, for ids of codes that are such numbers.
        """
        return int(assignment.id)

    def add(self, assignments: Sequence[Assignment]) -> None:
        users = {new.user_id for new in assignments}
        known = {(*_asked(each), each.ordinal) for each in self.stored_where("user_id", users)}
        for new in assignments:
            ordinal = (*_asked(new), new.ordinal)
            if ordinal in known:
                raise StorageError(
                    reason="this ordinal of the user is assigned already; read `holding` again"
                )
            known.add(ordinal)
            self.insert(new)
        self.append_events(assignments)

    def holdings(
        self, user_ids: Sequence[str], campaign_id: str | None, list_id: str | None
    ) -> dict[str, Holding]:
        return {
            each.user_id: Holding(each, each.ordinal)
            for each in self.given_to(user_ids, campaign_id, list_id)
        }

    def given_to(
        self, user_ids: Collection[str], campaign_id: str | None, list_id: str | None
    ) -> list[Assignment]:
        """Return the assignments of users in a campaign or, without one, from a list, by ordinal. It has a body."""
        asked = campaign_id, list_id if campaign_id is None else None
        found = (each for each in self.stored_where("user_id", user_ids) if _asked(each)[1:] == asked)
        return sorted(found, key=lambda each: each.ordinal)

    def get_many(self, ids: Sequence[str]) -> list[Assignment]:
        found = {each.id: each for each in self.stored_where("id", set(ids))}
        return [found[each] for each in ids if each in found]

    def of_user(self, user_id: str) -> list[Assignment]:
        return sorted(
            self.stored_where("user_id", [user_id]),
            key=lambda each: (each.assigned_at, each.ordinal, int(each.list_id), self.place(each)),
        )

    def of_code(self, code: str) -> list[Assignment]:
        return sorted(
            self.stored_where("code", [code]), key=lambda each: (int(each.list_id), self.place(each))
        )

    def of_list(self, list_id: str, after: str | None, limit: int) -> list[Assignment]:
        found = sorted(self.stored_where("list_id", [list_id]), key=self.place)
        if after is None:
            return found[:limit]
        return list(islice(dropwhile(lambda each: each.id != after, found), 1, limit + 1))


def _asked(each: Assignment) -> tuple[str, str | None, str | None]:
    """Return what the ordinals of a user are counted by: the campaign, and only without one the list."""
    return each.user_id, each.campaign_id, each.list_id if each.campaign_id is None else None
