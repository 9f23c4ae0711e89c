"""Partners and lists in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, UnknownList
from partner_vouchers.ports import ListOrder, ListQuery
from partner_vouchers.wire.columns import (
    first_code_id,
    from_instant,
    from_low_stock,
    to_instant,
    to_list_number,
)
from partner_vouchers.wire.rows import list_from_row, list_or_none

DISTRIBUTED = "(SELECT coalesce(sum(codes), 0)::bigint FROM pv_distributed WHERE list_id = l.id)"

ANNOUNCED = "(SELECT level FROM pv_announced WHERE list_id = l.id)"

LIST_COLUMNS = f"""
    l.id, l.partner, l.tag, l.name, l.description, l.expires_at, l.state, l.low_stock_at,
    (SELECT key FROM pv_scopes WHERE id = l.scope_id),
    (SELECT count(*) FROM pv_links WHERE list_id = l.id),
    l.created_at, l.updated_at, l.version,
    s.uploaded, {DISTRIBUTED}, s.reserved, s.withdrawn, {ANNOUNCED}, l.used_before
"""
_FROM = "FROM pv_lists AS l JOIN pv_stock AS s ON s.list_id = l.id"

_ORDER_COLUMNS = {
    ListOrder.UPDATED: "l.updated_at",
    ListOrder.CREATED: "l.created_at",
    ListOrder.EXPIRES: "l.expires_at",
    ListOrder.PARTNER: "l.partner",
    ListOrder.TAG: "l.tag",
    ListOrder.NAME: "l.name",
    ListOrder.UPLOADED: "s.uploaded",
    ListOrder.DISTRIBUTED: DISTRIBUTED,
}


def require_list(db: Session, list_id: str) -> int:
    """Return the number of a list.

    Raises:
        UnknownList: there is none, or it was removed.
    """
    number = to_list_number(list_id)
    if db.execute("SELECT 1 FROM pv_lists WHERE id = %s AND removed = 0", (number,)).fetchone() is None:
        raise UnknownList(list_id=list_id)
    return number


class PostgresPartners:
    """The partners."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def add(self, partner: Partner) -> bool:
        """See `ports.Partners`."""
        sql = "INSERT INTO pv_partners (name, created_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        return self._db.execute(sql, (partner.name, from_instant(partner.created_at))).rowcount == 1

    def get(self, name: str) -> Partner | None:
        """See `ports.Partners`."""
        sql = "SELECT name, created_at FROM pv_partners WHERE name = %s"
        row = self._db.execute(sql, (name,)).fetchone()
        return None if row is None else Partner(row[0], to_instant(row[1]))

    def all(self) -> list[Partner]:
        """See `ports.Partners`."""
        rows = self._db.execute("SELECT name, created_at FROM pv_partners ORDER BY name")
        return [Partner(name, to_instant(created_at)) for name, created_at in rows]


class PostgresLists:
    """The voucher lists."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def new_id(self) -> str:
        """See `ports.Lists`."""
        return next_id(self._db, "list_ids")

    def add(self, voucher_list: VoucherList) -> None:
        """See `ports.Lists`."""
        number = to_list_number(voucher_list.id)
        db = self._db
        db.execute("INSERT INTO pv_scopes (key) VALUES (%s) ON CONFLICT DO NOTHING", (voucher_list.scope,))
        db.execute(
            """
            INSERT INTO pv_lists (id, partner, tag, name, description, expires_at, state, low_stock_at, scope_id,
                                  created_at, updated_at, version, search_text)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, (SELECT id FROM pv_scopes WHERE key = %s), %s, %s, %s, %s)
            """,
            (
                number,
                voucher_list.partner,
                voucher_list.tag,
                voucher_list.name,
                voucher_list.description,
                from_instant(voucher_list.expires_at),
                voucher_list.state.value,
                from_low_stock(voucher_list.low_stock_at),
                voucher_list.scope,
                from_instant(voucher_list.created_at),
                from_instant(voucher_list.updated_at),
                voucher_list.version,
                voucher_list.search_text,
            ),
        )
        db.execute(
            "INSERT INTO pv_stock (list_id, published) VALUES (%s, %s)", (number, first_code_id(number))
        )
        db.execute("INSERT INTO pv_announced (list_id, level) VALUES (%s, 0)", (number,))
        db.execute("INSERT INTO pv_positions (list_id) VALUES (%s)", (number,))
        self._keep_terms(number, voucher_list)

    def get(self, list_id: str) -> VoucherList | None:
        """See `ports.Lists`."""
        number = to_list_number(list_id)
        self._db.share_list(number)
        return self._get(number)

    def expiries(self, list_ids: Collection[str]) -> dict[str, datetime]:
        """See `ports.Lists`."""
        sql = "SELECT id, expires_at FROM pv_lists WHERE id = ANY(%s::bigint[]) AND removed = 0"
        rows = self._db.execute(sql, ([to_list_number(list_id) for list_id in list_ids],))
        return {str(number): to_instant(expires_at) for number, expires_at in rows}

    def hold(self, list_id: str) -> VoucherList | None:
        """See `ports.Lists`."""
        number = to_list_number(list_id)
        self._db.hold_list(number)
        return self._get(number)

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        """See `ports.Lists`. Until the transaction ends nobody else can give this tag to a list."""
        self._db.lock("tag", partner, tag)
        self._db.count_given()
        sql = (
            f"SELECT {LIST_COLUMNS} {_FROM} "
            "WHERE l.partner = %s AND l.tag = %s AND l.state <> 'Archived' AND l.removed = 0"
        )
        return list_or_none(self._db.execute(sql, (partner, tag)).fetchone())

    def save(self, voucher_list: VoucherList) -> None:
        """See `ports.Lists`."""
        number = to_list_number(voucher_list.id)
        changed = self._db.execute(
            """
            UPDATE pv_lists
            SET name = %s, description = %s, expires_at = %s, state = %s, low_stock_at = %s, updated_at = %s,
                version = %s, search_text = %s
            WHERE id = %s AND removed = 0 AND version = %s
            """,
            (
                voucher_list.name,
                voucher_list.description,
                from_instant(voucher_list.expires_at),
                voucher_list.state.value,
                from_low_stock(voucher_list.low_stock_at),
                from_instant(voucher_list.updated_at),
                voucher_list.version,
                voucher_list.search_text,
                number,
                voucher_list.version - 1,
            ),
        )
        if changed.rowcount != 1:
            stored = self._get(number)
            if stored is None:
                raise UnknownList(list_id=voucher_list.id)
            raise StaleVersion(
                list_id=voucher_list.id, expected=voucher_list.version - 1, actual=stored.version
            )
        self._keep_terms(number, voucher_list)

    def remove(self, list_id: str) -> None:
        """See `ports.Lists`. The codes and files are cleared away later, by `reclaim`."""
        number = to_list_number(list_id)
        self._db.execute("UPDATE pv_lists SET removed = 1 WHERE id = %s AND removed = 0", (number,))
        self._db.execute("DELETE FROM pv_links WHERE list_id = %s", (number,))
        self._db.execute("DELETE FROM pv_stock WHERE list_id = %s", (number,))

    def find(self, query: ListQuery) -> list[VoucherList]:
        """See `ports.Lists`."""
        conditions, parameters = ["l.removed = 0"], list[Any]()
        if query.partner is not None:
            conditions.append("l.partner = %s")
            parameters.append(query.partner)
        if query.tag is not None:
            conditions.append("l.tag = %s")
            parameters.append(query.tag)
        if query.criteria is not None:
            conditions.append("l.state = ANY(%s)")
            parameters.append([state.value for state in query.criteria.states])
            if query.criteria.expired is not None:
                conditions.append("l.expires_at < %s" if query.criteria.expired else "l.expires_at >= %s")
                parameters.append(from_instant(query.criteria.now))
        if query.text is not None:
            conditions.append("strpos(l.search_text, %s) > 0")
            parameters.append(query.text)
        column = _ORDER_COLUMNS[query.order]
        direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
        if query.after is not None:
            key, list_id = query.after
            conditions.append(f"({column}, l.id) {beyond} (%s, %s)")
            parameters += [from_instant(key) if isinstance(key, datetime) else key, to_list_number(list_id)]
        self._db.count_given()
        sql = (
            f"SELECT {LIST_COLUMNS} {_FROM} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {column} {direction}, l.id {direction} LIMIT %s"
        )
        return [list_from_row(row) for row in self._db.execute(sql, (*parameters, query.limit))]

    def announce(self, list_id: str, level: StockLevel) -> None:
        """See `ports.Lists`.

        Where another transaction is telling a level just now, that may be a host's, which nobody waits for. Whoever
        takes the next code puts it right.
        """
        number = require_list(self._db, list_id)
        free = "SELECT list_id FROM pv_announced WHERE list_id = %s FOR UPDATE SKIP LOCKED"
        self._db.execute(f"UPDATE pv_announced SET level = %s WHERE list_id = ({free})", (int(level), number))

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        """See `ports.Lists`."""
        sql = "UPDATE pv_lists SET updated_at = %s, used_before = coalesce(%s, used_before) WHERE id = %s"
        self._db.execute(sql, (from_instant(now), used_before, require_list(self._db, list_id)))

    def _get(self, number: int) -> VoucherList | None:
        self._db.count_given()
        sql = f"SELECT {LIST_COLUMNS} {_FROM} WHERE l.id = %s AND l.removed = 0"
        return list_or_none(self._db.execute(sql, (number,)).fetchone())

    def _keep_terms(self, number: int, voucher_list: VoucherList) -> None:
        self._db.execute(
            "INSERT INTO pv_terms (list_id, version, name, description, expires_at) VALUES (%s, %s, %s, %s, %s)",
            (
                number,
                voucher_list.version,
                voucher_list.name,
                voucher_list.description,
                from_instant(voucher_list.expires_at),
            ),
        )


def next_id(db: Session, sequence: str) -> str:
    """Return the next id of a sequence."""
    return str(db.execute("SELECT nextval(%s::regclass)", (db.names.table(sequence),)).fetchall()[0][0])
