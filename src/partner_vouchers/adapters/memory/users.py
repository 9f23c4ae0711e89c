"""Where ids of users are."""

from __future__ import annotations

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.domain.events import Event, user_key
from partner_vouchers.domain.promo_events import HostEvent


class Users(Repository, ports.Users):
    def host_events(self, user_id: str) -> list[tuple[int, Event]]:
        return [
            (entry.position, entry.event)
            for entry in self._unit.tables.outbox
            if isinstance(entry.event, HostEvent) and entry.event.user_id == user_id
        ]

    def rename(self, user_id: str, new_id: str) -> int:
        tables, log = self._unit.tables, self._unit.log
        for assignment_id in tables.of_user.get(user_id, ()):
            renamed = evolve(tables.assignments[assignment_id], user_id=new_id)
            log.put(tables.assignments, assignment_id, renamed)
            if assignment_id in tables.redemptions:
                used = tables.redemptions[assignment_id]
                log.put(tables.redemptions, assignment_id, tuple(evolve(use, user_id=new_id) for use in used))
            if assignment_id in tables.revocations:
                revocation = evolve(tables.revocations[assignment_id], assignment=renamed)
                log.put(tables.revocations, assignment_id, revocation)
        reservations = [each for each in tables.reservations.values() if each.user_id == user_id]
        for each in reservations:
            log.put(tables.reservations, each.id, evolve(each, user_id=new_id))
        given, opened = log.drop(tables.of_user, user_id), log.drop(tables.open_of_user, user_id)
        if given is not None:
            log.put(tables.of_user, new_id, given)
        if opened is not None:
            log.put(tables.open_of_user, new_id, opened)
        self._rename_events(user_id, new_id)
        return len(reservations)

    def _rename_events(self, user_id: str, new_id: str) -> None:
        tables, log = self._unit.tables, self._unit.log
        log.keep(
            tables.outbox,
            [
                evolve(entry, event=evolve(entry.event, user_id=new_id))  # type: ignore[call-arg]
                if getattr(entry.event, "user_id", None) == user_id
                else entry
                for entry in tables.outbox
            ],
        )
        for rows in tables.deferred.values():
            for position, row in list(rows.items()):
                if row.key == user_key(user_id):
                    reason = row.reason.replace(user_id, new_id)
                    log.put(rows, position, evolve(row, key=user_key(new_id), reason=reason))
