"""The audit log and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from partner_vouchers.adapters.sql.columns import to_list_number
from partner_vouchers.adapters.sql.session import Repository, Value, first
from partner_vouchers.domain.events import AuditedEvent
from partner_vouchers.ports import AuditEntry
from partner_vouchers.wire.stored_events import event_from_json, event_to_json


class SqlAudit(Repository):
    def append(self, actor: str | None, events: Sequence[AuditedEvent]) -> None:
        for event in events:
            number = None if event.list_id is None else to_list_number(event.list_id)
            self._db.queue("add_audit_entry", number, actor, event.event_name, event_to_json(event))

    def entries(self, list_id: str | None, actor: str | None, after: int, limit: int) -> list[AuditEntry]:
        return self._read("id > ?", "id", after, list_id, actor, limit)

    def latest(
        self, list_id: str | None, actor: str | None, before: int | None, limit: int
    ) -> list[AuditEntry]:
        return self._read("id < ?", "id DESC", 2**63 - 1 if before is None else before, list_id, actor, limit)

    def _read(
        self, condition: str, order: str, place: int, list_id: str | None, actor: str | None, limit: int
    ) -> list[AuditEntry]:
        conditions, parameters = condition, list[Value]([place])
        if list_id is not None:
            conditions += " AND list_id = ?"
            parameters.append(to_list_number(list_id))
        if actor is not None:
            conditions += " AND actor = ?"
            parameters.append(actor)
        sql = f"{self._db.statements['audit_rows']} {conditions} ORDER BY {order} LIMIT ?"
        return [
            AuditEntry(position, found_actor, cast(AuditedEvent, event_from_json(name, payload)))
            for position, found_actor, name, payload in self._db.fetch(sql, *parameters, limit)
        ]


class SqlSettings(Repository):
    def get(self, name: str) -> str | None:
        # Until the transaction ends, no other one reads the setting in order to write it.
        self._db.lock("setting", name)
        row = first(self._db.fetch("setting", name))
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> None:
        self._db.change("put_setting", name, value)
