"""The storage of partners, voucher lists and campaign links."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from attrs import field, frozen

from partner_vouchers.domain.assignment import Candidate
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.lifecycle import State, StatusCriteria
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import StockLevel
from partner_vouchers.domain.voucher_list import VoucherList


class Partners(Protocol):
    """The partners."""

    def add(self, partner: Partner) -> bool:
        """Store a new partner. Return False, and store nothing, if the name exists."""

    def get(self, name: str) -> Partner | None:
        """Return the partner of exactly this name. It has a body."""
        return next((partner for partner in self.all() if partner.name == name), None)

    def all(self) -> list[Partner]:
        """Return all partners, ordered by name as strings of code points."""


class ListOrder(StrEnum):
    """The field by which a page of lists is sorted. A `-` before it reverses the order."""

    UPDATED = "updated_at"
    CREATED = "created_at"
    EXPIRES = "expires_at"
    PARTNER = "partner"
    TAG = "tag"
    NAME = "name"
    UPLOADED = "uploaded"
    DISTRIBUTED = "distributed"


SortKey = str | int | datetime
"""The value by which a list is sorted."""


@frozen
class ListQuery:
    """A page of lists: which lists, in which order, from where on. By default it is all of them.

    Attributes:
        partner: only lists of this partner.
        criteria: only lists that meet it; None for all that are not deleted.
        text: only lists whose `search_text` contains this, in folded case.
        order: the field to sort by; lists with equal values are sorted by id.
        descending: whether the greatest comes first.
        after: the sort key and id of the last list of the page before.
        limit: the most lists to return.
        tag: only lists with exactly this tag.
    """

    partner: str | None = None
    criteria: StatusCriteria | None = None
    text: str | None = None
    order: ListOrder = ListOrder.CREATED
    descending: bool = False
    after: tuple[SortKey, str] | None = None
    limit: int = 2**31
    tag: str | None = None

    def pick(self, lists: Iterable[VoucherList]) -> list[VoucherList]:
        """Return the page out of all lists, for a storage that cannot query."""

        def rank(each: VoucherList) -> tuple[Any, int]:
            counted = self.order in (ListOrder.UPLOADED, ListOrder.DISTRIBUTED)
            return getattr(each.counts if counted else each, self.order.value), int(each.id)

        found = sorted(filter(self._fits, lists), key=rank, reverse=self.descending)
        if self.after is not None:
            last = (self.after[0], int(self.after[1]))
            found = [each for each in found if (rank(each) < last if self.descending else rank(each) > last)]
        return found[: self.limit]

    def _fits(self, each: VoucherList) -> bool:
        return (
            self.partner in (None, each.partner)
            and self.tag in (None, each.tag)
            and (self.text is None or self.text in each.search_text)
            and (self.criteria is None or self.criteria.meets(each.state, each.expires_at))
        )


class Lists(Protocol):
    """The voucher lists.

    The storage keeps the counters, the notified level, `used_before` and the number of campaigns itself.
    """

    def new_id(self) -> str:
        """Return a new id: a growing number in decimal digits that no list ever had."""

    def add(self, voucher_list: VoucherList) -> None:
        """Store a new list, without codes and links.

        Whatever the list passed says, its counters and `used_before` begin at zero and its notified level at
        `StockLevel.ENOUGH`.

        Raises:
            StorageError: the id was given to a list before, or a list of this partner and tag exists that is not
                archived.
        """

    def get(self, list_id: str) -> VoucherList | None:
        """Return a list, or None if it does not exist or was deleted."""

    def expiries(self, list_ids: Collection[str]) -> dict[str, datetime]:
        """Return `expires_at` of each of these lists that exists, by id. It has a body."""
        found = ((list_id, self.get(list_id)) for list_id in list_ids)
        return {list_id: each.expires_at for list_id, each in found if each is not None}

    def get_for_update(self, list_id: str) -> VoucherList | None:
        """Return a list that this transaction will change, and lock it.

        Until the transaction ends, no other transaction changes the list or takes codes of it. It has a body for
        storages with one writer at a time: `get`.
        """
        return self.get(list_id)

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        """Return the list of this partner and tag that is not archived. There is at most one. It has a body."""
        found = self.find(ListQuery(partner=partner, tag=tag))
        return next((each for each in found if each.state is not State.ARCHIVED), None)

    def save(self, voucher_list: VoucherList) -> None:
        """Replace the stored list by its next version, except for the fields that the storage keeps.

        Raises:
            UnknownList: there is no such list.
            StaleVersion: the stored version is not the one before `voucher_list.version`.
        """

    def remove(self, list_id: str) -> None:
        """Delete a list with its codes, uploads and links, at a cost that does not grow with its codes.

        It is called only for lists of which no code was given out. Mark the list as deleted, and free its space in
        `Storage.reclaim`.
        """

    def find(self, query: ListQuery) -> list[VoucherList]:
        """Return a page of lists."""

    def expiring(self, now: datetime, limit: int) -> list[VoucherList]:
        """Return up to `limit` lists that expire soon, and of which that was not set for this expiry.

        These are lists that are not archived, whose expiry is not before `now`, and at most `expiring_soon` after it.
        It has a body for storages that do not keep `expiring_soon`.
        """
        del now, limit
        return []

    def set_expiring(self, list_id: str) -> bool:
        """Set that the present expiry of a list was notified; return False if it was before. It has a body, too."""
        del list_id
        return False

    def set_notified_level(self, list_id: str, level: StockLevel) -> None:
        """Set the stock level that was notified last.

        Raises:
            UnknownList: there is no such list.
        """

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        """Set `updated_at`, and `used_before` unless it is None; leave the version as it is.

        Raises:
            UnknownList: there is no such list.
        """


@frozen
class Offer:
    """The offer of a campaign.

    Attributes:
        lists: its links with their lists, ordered by priority, then age of the link.
        limits: its limits.
        candidates: the lists as candidates of a request.
    """

    lists: Sequence[tuple[CampaignLink, VoucherList]]
    limits: tuple[Limit, ...] = ()
    candidates: tuple[Candidate, ...] = field(init=False, eq=False, repr=False)

    @candidates.default
    def _make_candidates(self) -> tuple[Candidate, ...]:
        return tuple(Candidate(voucher_list, link) for link, voucher_list in self.lists)


class Campaigns(Protocol):
    """The links between lists and campaigns."""

    def put(self, link: CampaignLink) -> None:
        """Store a link, or change that of the same list and campaign, which keeps its age and `linked_at`.

        Raises:
            UnknownList: there is no such list.
        """

    def remove(self, list_id: str, campaign_id: str) -> bool:
        """Remove a link, and return whether it existed."""

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        """Return a link. It has a body."""
        return next((link for link in self.of_list(list_id) if link.campaign_id == campaign_id), None)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """Return the links of a list, ordered by campaign id."""

    def ids(self, after: str | None, limit: int) -> list[str]:
        """Return the ids of campaigns that have a link, each once, ordered by code points, after the given id."""

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        """Return the links of a campaign with their lists, ordered by priority, then age of the link.

        The age of a link is the order in which links were stored, not `linked_at`. The counters and the notified level
        of these lists may be out of date: `Codes.take` returns the current ones.
        """

    def offer(self, campaign_id: str) -> Offer:
        """Return `of_campaign` with the limits of the campaign. It has a body for storages without limits."""
        return Offer(self.of_campaign(campaign_id))
