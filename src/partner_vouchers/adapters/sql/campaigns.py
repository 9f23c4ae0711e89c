"""Campaign links, and the cache of a campaign's lists."""

from __future__ import annotations

from attrs import frozen

from partner_vouchers.adapters.sql.columns import to_list_number
from partner_vouchers.adapters.sql.lists import require_list
from partner_vouchers.adapters.sql.reservations import SqlLimits
from partner_vouchers.adapters.sql.rows import LINK_COLUMNS, LINKS, list_from_row
from partner_vouchers.adapters.sql.session import Row, Session, first
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.voucher_list import ListSnapshot, VoucherList
from partner_vouchers.ports import Offer

_MOST = 1_000


@frozen
class _Known:
    """What a campaign offers, while `catalog_versions` returns these versions."""

    versions: list[Row]
    offer: Offer
    numbers: list[int]

    def snapshot(self, number: int, versions: list[Row]) -> ListSnapshot | None:
        """Return what a list says; None unless it is one of these and `catalog_versions` returns `versions`."""
        if versions == self.versions:
            for _, voucher_list in self.offer.lists:
                if to_list_number(voucher_list.id) == number:
                    return voucher_list.snapshot
        return None


Catalog = dict[str, _Known]
"""The lists of the campaigns that were asked for lately; shared by all threads of a storage.

They seldom change, and each assignment needs them. The cache is used only while the database says that nothing of it
was changed, also by transactions of other processes, or ones that were rolled back.
"""


class SqlCampaigns:
    def __init__(self, db: Session, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog

    def put(self, link: CampaignLink) -> None:
        require_list(self._db, link.list_id)
        self._db.change("put_link", *LINKS.row(link))

    def remove(self, list_id: str, campaign_id: str) -> bool:
        return self._db.change("delete_link", campaign_id, to_list_number(list_id)) == 1

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        # Until the transaction ends, no other one changes the links of the campaign.
        self._db.lock("links", campaign_id)
        row = first(self._db.fetch("link", campaign_id, to_list_number(list_id)))
        return None if row is None else LINKS.entity(row)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        return [LINKS.entity(row) for row in self._db.fetch("links_of_list", to_list_number(list_id))]

    def ids(self, after: str | None, limit: int) -> list[str]:
        return [row[0] for row in self._db.fetch("ids_of_campaigns", after or "", limit)]

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        return list(self.offer(campaign_id).lists)

    def offer(self, campaign_id: str) -> Offer:
        known = self._catalog.get(campaign_id)
        while True:
            if known is not None:
                for number in known.numbers:
                    self._db.share_list(number)
            versions = self._db.fetch("catalog_versions", campaign_id)
            if known is not None and known.versions == versions:
                return known.offer
            rows = self._db.fetch("lists_of_campaign", campaign_id)
            lists = [(LINKS.entity(row), list_from_row(row[LINK_COLUMNS:])) for row in rows]
            offer = Offer(lists, SqlLimits(self._db).get(campaign_id))
            if not lists:
                return offer
            known = _Known(versions, offer, sorted(row[0] for row in rows))
            if len(self._catalog) >= _MOST:
                self._catalog.clear()
            self._catalog[campaign_id] = known
            if not self._db.writes:
                return offer
