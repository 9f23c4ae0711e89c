"""Partners, voucher lists and their campaigns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from attrs import evolve

from partner_vouchers import ports
from partner_vouchers.adapters.memory.tables import Stock, number
from partner_vouchers.adapters.memory.unit import Repository
from partner_vouchers.adapters.simple import SimpleLists
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StorageError


class Partners(Repository, ports.Partners):
    def add(self, partner: Partner) -> bool:
        if partner.name in self._unit.tables.partners:
            return False
        self._unit.log.put(self._unit.tables.partners, partner.name, partner)
        return True

    def get(self, name: str) -> Partner | None:
        return self._unit.tables.partners.get(name)

    def all(self) -> list[Partner]:
        return sorted(self._unit.tables.partners.values(), key=lambda partner: partner.name)


class Lists(Repository, SimpleLists[ports.Transaction]):
    def new_id(self) -> str:
        return str(next(self._unit.tables.list_ids))

    def stored(self, list_id: str) -> VoucherList | None:
        return self._unit.tables.lists.get(list_id)

    def all_stored(self) -> Iterable[VoucherList]:
        return self._unit.tables.lists.values()

    def counted(self, found: VoucherList) -> VoucherList:
        return found

    def insert(self, voucher_list: VoucherList) -> None:
        tables, log, list_id = self._unit.tables, self._unit.log, voucher_list.id
        if list_id in tables.ids_of_lists:
            raise StorageError(
                reason=f"the id {list_id} was already used for a list; take another from `new_id`"
            )
        log.put(tables.lists, list_id, voucher_list)
        log.put(tables.ids_of_lists, list_id, None)
        log.put(tables.stocks, list_id, Stock())
        log.put(tables.links, list_id, {})

    def replace(self, voucher_list: VoucherList) -> None:
        self._unit.log.put(self._unit.tables.lists, voucher_list.id, voucher_list)

    def remove(self, list_id: str) -> None:
        tables, log = self._unit.tables, self._unit.log
        for each in [each for each in tables.reservations.values() if each.list_id == list_id]:
            log.drop(tables.reservations, each.id)
            log.drop(tables.open_of_user.get(each.user_id, {}), each.id)
        log.drop(tables.lists, list_id)
        log.drop(tables.stocks, list_id)
        for campaign_id in log.drop(tables.links, list_id) or {}:
            log.drop(tables.lists_of_campaign[campaign_id], list_id)
        for upload_id in [each.id for each in tables.uploads.values() if each.list_id == list_id]:
            for table in (tables.uploads, tables.batches, tables.pieces, tables.faults):
                log.drop(cast(dict[str, object], table), upload_id)

    def expiring(self, now: datetime, limit: int) -> list[VoucherList]:
        tables = self._unit.tables
        found = (
            each
            for each in tables.lists.values()
            if each.expires_soon_at(now) and tables.notified_expiries.get(each.id) != each.expires_at
        )
        return sorted(found, key=lambda each: (each.expires_at, number(each.id)))[:limit]

    def set_expiring(self, list_id: str) -> bool:
        tables = self._unit.tables
        expires_at = tables.list(list_id).expires_at
        if tables.notified_expiries.get(list_id) == expires_at:
            return False
        self._unit.log.put(tables.notified_expiries, list_id, expires_at)
        return True


class Campaigns(Repository, ports.Campaigns):
    def put(self, link: CampaignLink) -> None:
        tables, log = self._unit.tables, self._unit.log
        tables.list(link.list_id)
        links = tables.links[link.list_id]
        if link.campaign_id in links:
            link_number, first = links[link.campaign_id]
            link = evolve(link, linked_at=first.linked_at)
        else:
            link_number = next(tables.link_numbers)
        log.put(links, link.campaign_id, (link_number, link))
        log.put(tables.lists_of_campaign.setdefault(link.campaign_id, {}), link.list_id, None)
        self._count(link.list_id)

    def remove(self, list_id: str, campaign_id: str) -> bool:
        tables, log = self._unit.tables, self._unit.log
        if self.get(list_id, campaign_id) is None:
            return False
        log.drop(tables.links[list_id], campaign_id)
        log.drop(tables.lists_of_campaign[campaign_id], list_id)
        self._count(list_id)
        return True

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        _, link = self._unit.tables.links.get(list_id, {}).get(campaign_id, (0, None))
        return link

    def of_list(self, list_id: str) -> list[CampaignLink]:
        links = self._unit.tables.links.get(list_id, {})
        return [links[campaign_id][1] for campaign_id in sorted(links)]

    def ids(self, after: str | None, limit: int) -> list[str]:
        linked = self._unit.tables.lists_of_campaign
        return sorted(each for each, lists in linked.items() if lists and (after is None or each > after))[
            :limit
        ]

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        tables = self._unit.tables
        list_ids = tables.lists_of_campaign.get(campaign_id, {})
        linked = [tables.links[list_id][campaign_id] for list_id in list_ids]
        linked.sort(key=lambda entry: (entry[1].priority, entry[0]))
        return [(link, tables.lists[link.list_id]) for _, link in linked]

    def offer(self, campaign_id: str) -> ports.Offer:
        return ports.Offer(self.of_campaign(campaign_id), self._unit.tables.limits.get(campaign_id, ()))

    def _count(self, list_id: str) -> None:
        tables = self._unit.tables
        counted = evolve(tables.list(list_id), campaigns=len(tables.links[list_id]))
        self._unit.log.put(tables.lists, list_id, counted)
