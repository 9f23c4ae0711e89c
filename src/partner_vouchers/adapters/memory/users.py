"""Where ids of users are."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.events import Event, user_key
from partner_vouchers.domain.promo_events import HostEvent


class Users(Repository, ports.Users):
    """Every table that has the id of a user."""

    def host_events(self, user_id: str) -> list[tuple[int, Event]]:
        return [
            (entry.position, entry.event)
            for entry in self._unit.tables.outbox
            if isinstance(entry.event, HostEvent) and entry.event.user_id == user_id
        ]

    def rename(self, user_id: str, new_id: str) -> int:
        tables, log = self._unit.tables, self._unit.log
        renamed: dict[str, Assignment] = {
            each.id: evolve(each, user_id=new_id) for each in tables.of_user.get(user_id, ())
        }

        def change(table: dict[Any, Any], key: Any, value: Any) -> None:
            if key in table:
                log.put(table, key, value)

        for each in renamed.values():
            log.put(tables.assignments, each.id, each)
            asked = each.campaign_id, each.list_id if each.campaign_id is None else None
            ordinal = (*asked, each.ordinal)
            log.drop(tables.ordinals, (user_id, *ordinal))
            log.put(tables.ordinals, (new_id, *ordinal), each.id)
            if (
                log.drop(tables.latest, (user_id, *asked)) is not None
                or tables.latest[new_id, *asked].ordinal < each.ordinal
            ):
                log.put(tables.latest, (new_id, *asked), each)
            for table, key in ((tables.of_code, each.code), (tables.of_campaign, each.campaign_id)):
                if key in table:
                    log.put(table, key, [renamed.get(other.id, other) for other in table[key]])
            if each.id in tables.redemptions:
                used = tables.redemptions[each.id]
                log.put(tables.redemptions, each.id, tuple(evolve(use, user_id=new_id) for use in used))
            if each.id in tables.revocations:
                change(tables.revocations, each.id, evolve(tables.revocations[each.id], assignment=each))
        if log.drop(tables.of_user, user_id) is not None:
            log.put(tables.of_user, new_id, list(renamed.values()))
        reservations = [each for each in tables.reservations.values() if each.user_id == user_id]
        for reservation in reservations:
            moved = evolve(reservation, user_id=new_id)
            log.put(tables.reservations, moved.id, moved)
            reserved = tables.reserved_codes.get(moved.code_id)
            if reserved is not None and reserved.id == moved.id:
                log.put(tables.reserved_codes, moved.code_id, moved)
        opened = log.drop(tables.open_of_user, user_id)
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
        for sink, rows in tables.deferred.items():
            for position, row in list(rows.items()):
                if row.key == user_key(user_id):
                    reason = row.reason.replace(user_id, new_id)
                    log.put(rows, position, evolve(row, key=user_key(new_id), reason=reason))
            waiting = log.drop(tables.deferred_keys, (sink, user_key(user_id)))
            if waiting is not None:
                log.put(tables.deferred_keys, (sink, user_key(new_id)), waiting)
