"""Partners, lists and campaign links in SQLite."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.sqlite.catalog import TOKEN, Catalog, renew_token
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, UnknownList
from partner_vouchers.ports import ListOrder, ListQuery
from partner_vouchers.wire.columns import (
    LAST_ID,
    first_code_id,
    from_instant,
    from_low_stock,
    to_instant,
    to_number,
)
from partner_vouchers.wire.rows import link_from_row, list_from_row, list_or_none

_LIST = """
    l.id, l.partner, l.tag, l.name, l.description, l.expires_at, l.state, l.low_stock_at,
    (SELECT key FROM pv_scopes WHERE id = l.scope_id),
    (SELECT count(*) FROM pv_links WHERE list_id = l.id),
    l.created_at, l.updated_at, l.version,
    s.uploaded, s.distributed, s.reserved, s.withdrawn, s.announced, l.used_before
"""
_FROM = "FROM pv_lists AS l JOIN pv_stock AS s ON s.list_id = l.id"
_LINK_COLUMNS = 6
_LISTS_OF_CAMPAIGN = f"""
    SELECT k.list_id, k.campaign_id, k.repeat, k.priority, k.eligibility, k.linked_at, {_LIST}
    FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id JOIN pv_stock AS s ON s.list_id = l.id
    WHERE k.campaign_id = ? AND l.removed = 0
    ORDER BY k.priority, k.id
"""

_ORDER_COLUMNS = {
    ListOrder.UPDATED: "l.updated_at",
    ListOrder.CREATED: "l.created_at",
    ListOrder.EXPIRES: "l.expires_at",
    ListOrder.PARTNER: "l.partner",
    ListOrder.TAG: "l.tag",
    ListOrder.NAME: "l.name",
    ListOrder.UPLOADED: "s.uploaded",
    ListOrder.DISTRIBUTED: "s.distributed",
}


def next_id(db: Database, sequence: str) -> str:
    """Return the next id of a sequence."""
    sql = "UPDATE pv_sequences SET last = last + 1 WHERE name = ? RETURNING last"
    # All rows must be fetched, or the statement is not finished.
    return str(db.execute(sql, (sequence,)).fetchall()[0][0])


def require_list(db: Database, list_id: str) -> int:
    """Return the number of a list.

    Raises:
        UnknownList: there is none, or it was removed.
    """
    number = to_number(list_id)
    if db.execute("SELECT 1 FROM pv_lists WHERE id = ? AND removed = 0", (number,)).fetchone() is None:
        raise UnknownList(list_id=list_id)
    return number


class SQLitePartners:
    """The partners."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, partner: Partner) -> bool:
        """See `ports.Partners`."""
        sql = "INSERT INTO pv_partners (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
        return self._db.execute(sql, (partner.name, from_instant(partner.created_at))).rowcount == 1

    def get(self, name: str) -> Partner | None:
        """See `ports.Partners`."""
        row = self._db.execute("SELECT name, created_at FROM pv_partners WHERE name = ?", (name,)).fetchone()
        return None if row is None else Partner(row[0], to_instant(row[1]))

    def all(self) -> list[Partner]:
        """See `ports.Partners`."""
        rows = self._db.execute("SELECT name, created_at FROM pv_partners ORDER BY name")
        return [Partner(name, to_instant(created_at)) for name, created_at in rows]


class SQLiteLists:
    """The voucher lists."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def new_id(self) -> str:
        """See `ports.Lists`."""
        return next_id(self._db, "list")

    def add(self, voucher_list: VoucherList) -> None:
        """See `ports.Lists`."""
        number = to_number(voucher_list.id)
        self._db.execute(
            "INSERT INTO pv_scopes (key) VALUES (?) ON CONFLICT DO NOTHING", (voucher_list.scope,)
        )
        self._db.execute(
            """
            INSERT INTO pv_lists (id, partner, tag, name, description, expires_at, state, low_stock_at, scope_id,
                                  created_at, updated_at, version, search_text)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM pv_scopes WHERE key = ?), ?, ?, ?, ?)
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
        start = first_code_id(number)
        self._db.execute(
            "INSERT INTO pv_stock (list_id, cursor, published, skip_from) VALUES (?, ?, ?, ?)",
            (number, start, start, LAST_ID),
        )
        self._keep_terms(number, voucher_list)

    def get(self, list_id: str) -> VoucherList | None:
        """See `ports.Lists`."""
        sql = f"SELECT {_LIST} {_FROM} WHERE l.id = ? AND l.removed = 0"
        return list_or_none(self._db.execute(sql, (to_number(list_id),)).fetchone())

    def expiries(self, list_ids: Collection[str]) -> dict[str, datetime]:
        """See `ports.Lists`."""
        sql = (
            "SELECT id, expires_at FROM pv_lists WHERE id IN (SELECT value FROM json_each(?)) AND removed = 0"
        )
        rows = self._db.execute(sql, (json.dumps([to_number(list_id) for list_id in list_ids]),))
        return {str(number): to_instant(expires_at) for number, expires_at in rows}

    def hold(self, list_id: str) -> VoucherList | None:
        """See `ports.Lists`. There is one who writes at a time."""
        return self.get(list_id)

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        """See `ports.Lists`."""
        sql = (
            f"SELECT {_LIST} {_FROM} "
            "WHERE l.partner = ? AND l.tag = ? AND l.state <> 'Archived' AND l.removed = 0"
        )
        return list_or_none(self._db.execute(sql, (partner, tag)).fetchone())

    def save(self, voucher_list: VoucherList) -> None:
        """See `ports.Lists`."""
        number = to_number(voucher_list.id)
        renew_token(self._db)
        changed = self._db.execute(
            """
            UPDATE pv_lists
            SET name = ?, description = ?, expires_at = ?, state = ?, low_stock_at = ?, updated_at = ?, version = ?,
                search_text = ?
            WHERE id = ? AND removed = 0 AND version = ?
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
            stored = self.get(voucher_list.id)
            if stored is None:
                raise UnknownList(list_id=voucher_list.id)
            raise StaleVersion(
                list_id=voucher_list.id, expected=voucher_list.version - 1, actual=stored.version
            )
        self._keep_terms(number, voucher_list)

    def remove(self, list_id: str) -> None:
        """See `ports.Lists`. The codes and files are cleared away later, by `reclaim`."""
        number = to_number(list_id)
        renew_token(self._db)
        self._db.execute("UPDATE pv_lists SET removed = 1 WHERE id = ?", (number,))
        self._db.execute("DELETE FROM pv_links WHERE list_id = ?", (number,))
        self._db.execute("DELETE FROM pv_stock WHERE list_id = ?", (number,))

    def find(self, query: ListQuery) -> list[VoucherList]:
        """See `ports.Lists`."""
        conditions, parameters = ["l.removed = 0"], list[Any]()
        if query.partner is not None:
            conditions.append("l.partner = ?")
            parameters.append(query.partner)
        if query.tag is not None:
            conditions.append("l.tag = ?")
            parameters.append(query.tag)
        if query.criteria is not None:
            states = query.criteria.states
            conditions.append(f"l.state IN ({', '.join('?' * len(states))})")
            parameters += [state.value for state in states]
            if query.criteria.expired is not None:
                conditions.append("l.expires_at < ?" if query.criteria.expired else "l.expires_at >= ?")
                parameters.append(from_instant(query.criteria.now))
        if query.text is not None:
            conditions.append("instr(l.search_text, ?) > 0")
            parameters.append(query.text)
        column = _ORDER_COLUMNS[query.order]
        direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
        if query.after is not None:
            key, list_id = query.after
            conditions.append(f"({column}, l.id) {beyond} (?, ?)")
            parameters += [from_instant(key) if isinstance(key, datetime) else key, to_number(list_id)]
        sql = (
            f"SELECT {_LIST} {_FROM} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {column} {direction}, l.id {direction} LIMIT ?"
        )
        return [list_from_row(row) for row in self._db.execute(sql, (*parameters, query.limit))]

    def announce(self, list_id: str, level: StockLevel) -> None:
        """See `ports.Lists`."""
        require_list(self._db, list_id)
        self._db.execute(
            "UPDATE pv_stock SET announced = ? WHERE list_id = ?", (int(level), to_number(list_id))
        )

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        """See `ports.Lists`."""
        number = require_list(self._db, list_id)
        renew_token(self._db)
        self._db.execute(
            "UPDATE pv_lists SET updated_at = ?, used_before = coalesce(?, used_before) WHERE id = ?",
            (from_instant(now), used_before, number),
        )

    def _keep_terms(self, number: int, voucher_list: VoucherList) -> None:
        self._db.execute(
            "INSERT INTO pv_terms (list_id, version, name, description, expires_at) VALUES (?, ?, ?, ?, ?)",
            (
                number,
                voucher_list.version,
                voucher_list.name,
                voucher_list.description,
                from_instant(voucher_list.expires_at),
            ),
        )


class SQLiteCampaigns:
    """The links between lists and campaigns."""

    def __init__(self, db: Database, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog

    def put(self, link: CampaignLink) -> None:
        """See `ports.Campaigns`."""
        require_list(self._db, link.list_id)
        renew_token(self._db)
        self._db.execute(
            """
            INSERT INTO pv_links (campaign_id, list_id, repeat, priority, eligibility, linked_at)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (campaign_id, list_id) DO UPDATE
            SET repeat = excluded.repeat, priority = excluded.priority, eligibility = excluded.eligibility
            """,
            (
                link.campaign_id,
                to_number(link.list_id),
                link.repeat.value,
                link.priority,
                link.eligibility,
                from_instant(link.linked_at),
            ),
        )

    def remove(self, list_id: str, campaign_id: str) -> bool:
        """See `ports.Campaigns`."""
        renew_token(self._db)
        sql = "DELETE FROM pv_links WHERE campaign_id = ? AND list_id = ?"
        return self._db.execute(sql, (campaign_id, to_number(list_id))).rowcount == 1

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        """See `ports.Campaigns`."""
        sql = (
            "SELECT list_id, campaign_id, repeat, priority, eligibility, linked_at FROM pv_links "
            "WHERE campaign_id = ? AND list_id = ?"
        )
        row = self._db.execute(sql, (campaign_id, to_number(list_id))).fetchone()
        return None if row is None else link_from_row(row)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """See `ports.Campaigns`."""
        sql = (
            "SELECT list_id, campaign_id, repeat, priority, eligibility, linked_at FROM pv_links "
            "WHERE list_id = ? ORDER BY campaign_id"
        )
        return [link_from_row(row) for row in self._db.execute(sql, (to_number(list_id),))]

    def ids(self, after: str | None, limit: int) -> list[str]:
        """See `ports.Campaigns`."""
        sql = "SELECT DISTINCT campaign_id FROM pv_links WHERE campaign_id > ? ORDER BY campaign_id LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (after or "", limit))]

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        """See `ports.Campaigns`."""
        (token,) = self._db.execute("SELECT value FROM pv_settings WHERE name = ?", (TOKEN,)).fetchone()
        lists = self._catalog.get(campaign_id, token)
        if lists is None:
            rows = self._db.execute(_LISTS_OF_CAMPAIGN, (campaign_id,))
            lists = [(link_from_row(row[:_LINK_COLUMNS]), list_from_row(row[_LINK_COLUMNS:])) for row in rows]
            self._catalog.put(campaign_id, token, lists)
        return lists
