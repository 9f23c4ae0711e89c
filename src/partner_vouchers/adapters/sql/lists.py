"""Partners and voucher lists."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

from partner_vouchers.adapters.sql.columns import first_code_id, from_instant, to_instant, to_list_number
from partner_vouchers.adapters.sql.rows import list_from_row, list_to_row
from partner_vouchers.adapters.sql.session import Repository, Session, Value, first
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, UnknownList
from partner_vouchers.ports import ListOrder, ListQuery

_FIXED = "id", "partner", "tag", "scope", "created_at"
_CHANGING = (
    "name",
    "description",
    "expires_at",
    "state",
    "low_stock_at",
    "expiring_soon",
    "updated_at",
    "search_text",
    "version",
)


def require_list(db: Session, list_id: str) -> int:
    """Return the number of a list.

    Raises:
        UnknownList: there is none, or it was deleted.
    """
    number = to_list_number(list_id)
    if not db.fetch("list_exists", number):
        raise UnknownList(list_id=list_id)
    return number


class SqlPartners(Repository):
    def add(self, partner: Partner) -> bool:
        return self._db.change("add_partner", partner.name, from_instant(partner.created_at)) == 1

    def get(self, name: str) -> Partner | None:
        row = first(self._db.fetch("partner_by_name", name))
        return None if row is None else Partner(row[0], to_instant(row[1]))

    def all(self) -> list[Partner]:
        return [Partner(name, to_instant(created_at)) for name, created_at in self._db.fetch("all_partners")]


class SqlLists(Repository):
    def new_id(self) -> str:
        return str(self._db.fetch("next_list_id")[0][0])

    def add(self, voucher_list: VoucherList) -> None:
        number = to_list_number(voucher_list.id)
        self._db.change("add_scope", voucher_list.scope)
        self._db.change("add_list", *list_to_row(voucher_list, *_FIXED, *_CHANGING))
        self._db.change("add_stock", number, first_code_id(number))
        self._keep_terms(number, voucher_list)

    def get(self, list_id: str) -> VoucherList | None:
        number = to_list_number(list_id)
        self._db.share_list(number)
        return self._one("list_by_id", number)

    def get_for_update(self, list_id: str) -> VoucherList | None:
        number = to_list_number(list_id)
        self._db.lock_list(number)
        return self._one("list_by_id", number)

    def expiries(self, list_ids: Collection[str]) -> dict[str, datetime]:
        numbers = json.dumps([to_list_number(each) for each in list_ids])
        rows = self._db.fetch("expiries_of_lists", numbers)
        return {str(number): to_instant(expires_at) for number, expires_at in rows}

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        # Until the transaction ends, no other one can give this tag to a list.
        self._db.lock("tag", partner, tag)
        return self._one("list_by_tag", partner, tag)

    def save(self, voucher_list: VoucherList) -> None:
        number = to_list_number(voucher_list.id)
        values = list_to_row(voucher_list, *_CHANGING)
        changed = self._db.change("save_list", *values, number, voucher_list.version - 1)
        if not changed:
            stored = self._one("list_by_id", number)
            if stored is None:
                raise UnknownList(list_id=voucher_list.id)
            raise StaleVersion(
                list_id=voucher_list.id, expected=voucher_list.version - 1, actual=stored.version
            )
        self._keep_terms(number, voucher_list)

    def remove(self, list_id: str) -> None:
        number = to_list_number(list_id)
        for statement in ("mark_list_deleted", "delete_links_of_list", "delete_stock"):
            self._db.change(statement, number)

    def find(self, query: ListQuery) -> list[VoucherList]:
        statements = self._db.statements
        conditions, parameters = list[str](), list[Value]()
        if query.partner is not None:
            conditions.append("l.partner = ?")
            parameters.append(query.partner)
        if query.tag is not None:
            conditions.append("l.tag = ?")
            parameters.append(query.tag)
        if query.criteria is not None:
            states = [state.value for state in query.criteria.states]
            conditions.append(f"l.state IN ({', '.join('?' * len(states))})")
            parameters += states
            if query.criteria.expired is not None:
                conditions.append("l.expires_at < ?" if query.criteria.expired else "l.expires_at >= ?")
                parameters.append(from_instant(query.criteria.now))
        if query.text is not None:
            conditions.append("instr(l.search_text, ?) > 0")
            parameters.append(query.text)
        counted = query.order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED)
        column = f"l.{query.order.value}"
        if counted:
            column = "s.uploaded" if query.order is ListOrder.UPLOADED else statements["distributed"]
        direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
        if query.after is not None:
            key, list_id = query.after
            conditions.append(f"({column}, l.id) {beyond} (?, ?)")
            parameters += [from_instant(key) if isinstance(key, datetime) else key, to_list_number(list_id)]
        where = "".join(f" AND {condition}" for condition in conditions)
        order = f"ORDER BY {column} {direction}, l.id {direction} LIMIT ?"
        rows = self._db.fetch(f"{statements['list_rows']}{where} {order}", *parameters, query.limit)
        return [list_from_row(row) for row in rows]

    def expiring(self, now: datetime, limit: int) -> list[VoucherList]:
        instant = from_instant(now)
        return [list_from_row(row) for row in self._db.fetch("expiring_lists", instant, instant, limit)]

    def set_expiring(self, list_id: str) -> bool:
        return bool(self._db.change("set_expiring", to_list_number(list_id)))

    def set_notified_level(self, list_id: str, level: StockLevel) -> None:
        self._db.change("set_notified_level", int(level), require_list(self._db, list_id))

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        if not self._db.change("touch_list", from_instant(now), used_before, to_list_number(list_id)):
            raise UnknownList(list_id=list_id)

    def _one(self, statement: str, *parameters: Value) -> VoucherList | None:
        row = first(self._db.fetch(statement, *parameters))
        return None if row is None else list_from_row(row)

    def _keep_terms(self, number: int, voucher_list: VoucherList) -> None:
        terms = list_to_row(voucher_list, "version", "name", "description", "expires_at")
        self._db.queue("keep_terms", number, *terms)
