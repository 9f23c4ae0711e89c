"""Voucher lists and campaign links, worked out from all that are stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from attrs import evolve

from partner_vouchers.adapters.simple.part import Part, Tx
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.stock import Counts, StockLevel
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import StaleVersion, StorageError, UnknownList
from partner_vouchers.ports.lists import Campaigns, ListQuery, Lists


class SimpleLists(Part[Tx], Lists):
    """`Lists` for a storage that counts codes and links when a list is read.

    The subclass keeps lists as they are, whatever their `counts` and `campaigns` say: those are asked of `tx.codes`
    and `tx.campaigns`. Of the protocol it writes `new_id` and `remove`.

    Attributes:
        tx: the transaction of which this is a part. The subclass sets it.
    """

    def stored(self, list_id: str) -> VoucherList | None:
        """Return a list as it was stored last, or None."""
        raise NotImplementedError

    def all_stored(self) -> Iterable[VoucherList]:
        """Return all lists as they were stored last, in any order."""
        raise NotImplementedError

    def insert(self, voucher_list: VoucherList) -> None:
        """Store a new list.

        Raises:
            StorageError: the id was given to a list before, also to one that was removed.
        """
        raise NotImplementedError

    def replace(self, voucher_list: VoucherList) -> None:
        """Store a list in place of the one with its id, which is there."""
        raise NotImplementedError

    def require(self, list_id: str) -> VoucherList:
        """Return what `stored` does, of a list that must be there.

        Raises:
            UnknownList: it is not.
        """
        found = self.stored(list_id)
        if found is None:
            raise UnknownList(list_id=list_id)
        return found

    def add(self, voucher_list: VoucherList) -> None:
        if self.with_tag(voucher_list.partner, voucher_list.tag) is not None:
            raise StorageError(
                reason="the partner has a list of this tag that is not archived; look with `with_tag`"
            )
        self.insert(
            evolve(voucher_list, counts=Counts(), notified=StockLevel.ENOUGH, used_before=0, campaigns=0)
        )

    def get(self, list_id: str) -> VoucherList | None:
        found = self.stored(list_id)
        return None if found is None else self.counted(found)

    def save(self, voucher_list: VoucherList) -> None:
        known = self.require(voucher_list.id)
        if known.version != voucher_list.version - 1:
            raise StaleVersion(list_id=known.id, expected=voucher_list.version - 1, actual=known.version)
        kept = {name: getattr(known, name) for name in ("counts", "notified", "used_before", "campaigns")}
        self.replace(evolve(voucher_list, **kept))

    def find(self, query: ListQuery) -> list[VoucherList]:
        return query.pick(map(self.counted, self.all_stored()))

    def set_notified_level(self, list_id: str, level: StockLevel) -> None:
        self.replace(evolve(self.require(list_id), notified=level))

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        known = self.require(list_id)
        used = known.used_before if used_before is None else used_before
        self.replace(evolve(known, updated_at=now, used_before=used))

    def counted(self, found: VoucherList) -> VoucherList:
        """Return a stored list with its counters as they are now. It has a body."""
        links = self.tx.campaigns.of_list(found.id)
        return evolve(found, counts=self.tx.codes.counts(found.id), campaigns=len(links))


class SimpleCampaigns(Part[Tx], Campaigns):
    """`Campaigns` for a storage that returns all links in the order in which they came.

    Of the protocol the subclass writes `remove`.

    Attributes:
        tx: the transaction of which this is a part. The subclass sets it.
    """

    def all_stored(self) -> Iterable[CampaignLink]:
        """Return all links, the oldest first: the one that was stored first, even if it was replaced since."""
        raise NotImplementedError

    def store(self, link: CampaignLink) -> None:
        """Store a link in place of the one with its list and campaign, or behind all others where there is none."""
        raise NotImplementedError

    def put(self, link: CampaignLink) -> None:
        if self.tx.lists.get(link.list_id) is None:
            raise UnknownList(list_id=link.list_id)
        first = self.get(link.list_id, link.campaign_id)
        self.store(link if first is None else evolve(link, linked_at=first.linked_at))

    def of_list(self, list_id: str) -> list[CampaignLink]:
        found = (link for link in self.all_stored() if link.list_id == list_id)
        return sorted(found, key=lambda link: link.campaign_id)

    def ids(self, after: str | None, limit: int) -> list[str]:
        found = {link.campaign_id for link in self.all_stored()}
        return sorted(each for each in found if after is None or each > after)[:limit]

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        found = [link for link in self.all_stored() if link.campaign_id == campaign_id]
        # The sort is stable: links of one priority stay in the order of age.
        found.sort(key=lambda link: link.priority)
        linked = ((link, self.tx.lists.get(link.list_id)) for link in found)
        return [(link, voucher_list) for link, voucher_list in linked if voucher_list is not None]
