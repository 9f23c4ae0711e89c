"""Campaign links in PostgreSQL."""

from __future__ import annotations

from partner_vouchers.adapters.postgres.catalog import Catalog, Lists
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.lists import LIST_COLUMNS, require_list
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.wire.columns import from_instant, to_list_number
from partner_vouchers.wire.rows import link_from_row, list_from_row

_LINK = "k.list_id, k.campaign_id, k.repeat, k.priority, k.eligibility, k.linked_at"
_LINK_COLUMNS = 6
_VERSION = "concat(k.ctid, k.xmin, l.ctid, l.xmin)"
_OF_CAMPAIGN = """
    FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id
    WHERE k.campaign_id = %s AND l.removed = 0
    ORDER BY k.priority, k.id
"""
_VERSIONS = f"SELECT k.list_id, {_VERSION} {_OF_CAMPAIGN}"
_LISTS = f"SELECT k.list_id, {_VERSION}, {_LINK}, {LIST_COLUMNS} {_OF_CAMPAIGN}".replace(
    "WHERE k.campaign_id", "JOIN pv_stock AS s ON s.list_id = l.id WHERE k.campaign_id"
)


class PostgresCampaigns:
    """The links between lists and campaigns."""

    def __init__(self, db: Session, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog

    def put(self, link: CampaignLink) -> None:
        """See `ports.Campaigns`."""
        number = require_list(self._db, link.list_id)
        self._db.execute(
            """
            INSERT INTO pv_links (campaign_id, list_id, repeat, priority, eligibility, linked_at)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (campaign_id, list_id) DO UPDATE
            SET repeat = excluded.repeat, priority = excluded.priority, eligibility = excluded.eligibility
            """,
            (
                link.campaign_id,
                number,
                link.repeat.value,
                link.priority,
                link.eligibility,
                from_instant(link.linked_at),
            ),
        )

    def remove(self, list_id: str, campaign_id: str) -> bool:
        """See `ports.Campaigns`."""
        sql = "DELETE FROM pv_links WHERE campaign_id = %s AND list_id = %s"
        return self._db.execute(sql, (campaign_id, to_list_number(list_id))).rowcount == 1

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        """See `ports.Campaigns`. Until the transaction ends nobody else changes the links of the campaign."""
        self._db.lock("links", campaign_id)
        sql = f"SELECT {_LINK} FROM pv_links AS k WHERE k.campaign_id = %s AND k.list_id = %s"
        row = self._db.execute(sql, (campaign_id, to_list_number(list_id))).fetchone()
        return None if row is None else link_from_row(row)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """See `ports.Campaigns`."""
        sql = f"SELECT {_LINK} FROM pv_links AS k WHERE k.list_id = %s ORDER BY k.campaign_id"
        return [link_from_row(row) for row in self._db.execute(sql, (to_list_number(list_id),))]

    def ids(self, after: str | None, limit: int) -> list[str]:
        """See `ports.Campaigns`."""
        sql = "SELECT DISTINCT campaign_id FROM pv_links WHERE campaign_id > %s ORDER BY campaign_id LIMIT %s"
        return [row[0] for row in self._db.execute(sql, (after or "", limit))]

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        """See `ports.Campaigns`. Until the transaction ends nobody else changes these lists."""
        known = self._catalog.get(campaign_id)
        while True:
            if known is not None:
                for number in sorted(number for number, _ in known[0]):
                    self._db.share_list(number)
                versions = self._db.fetch(_VERSIONS, campaign_id)
                if versions == known[0]:
                    return known[1]
            rows = self._db.execute(_LISTS, (campaign_id,)).fetchall()
            lists: Lists = [(link_from_row(row[2:]), list_from_row(row[2 + _LINK_COLUMNS :])) for row in rows]
            known = [(row[0], row[1]) for row in rows], lists
            self._catalog.put(campaign_id, *known)
            if not (rows and self._db.writes):
                return lists
