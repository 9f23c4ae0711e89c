"""Where partners, voucher lists and campaign links are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from attrs import frozen

from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.lifecycle import State, StatusCriteria
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.stock import StockLevel
from partner_vouchers.domain.voucher_list import VoucherList


class Partners(Protocol):
    """The partners."""

    def add(self, partner: Partner) -> bool:
        """Store a new partner; return False, and store nothing, where the name exists."""
        ...

    def get(self, name: str) -> Partner | None:
        """Return the partner of exactly this name. It has a body."""
        return next((partner for partner in self.all() if partner.name == name), None)

    def all(self) -> list[Partner]:
        """Return all partners, ordered by name as strings of code points."""
        ...


class ListOrder(StrEnum):
    """By what a page of lists is sorted; a `-` before it turns the order round."""

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
    """Which lists, in which order, from where on.

    Attributes:
        partner: only lists of this partner.
        criteria: only lists that meet it; None for all that are not deleted.
        text: only lists in whose `search_text` this stands; folded already.
        order: by what to sort; equal ones by id.
        descending: whether the greatest comes first.
        after: only those that come after the list with this sort key and id, in the order asked for.
        limit: how many at the most.
        tag: only lists with exactly this tag.
    """

    partner: str | None
    criteria: StatusCriteria | None
    text: str | None
    order: ListOrder
    descending: bool
    after: tuple[SortKey, str] | None
    limit: int
    tag: str | None = None

    def pick(self, lists: Iterable[VoucherList]) -> list[VoucherList]:
        """Return the page that is asked for out of all lists, for a storage that cannot query."""

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

    The storage keeps the counters, the announced level, `used_before` and the number of campaigns itself.
    """

    def new_id(self) -> str:
        """Return an id that no list ever had: the decimal form of a number that only grows."""
        ...

    def add(self, voucher_list: VoucherList) -> None:
        """Store a new list, without codes and links.

        Whatever the list passed says, its counters and `used_before` begin at zero and its announced level at
        `StockLevel.ENOUGH`. No method of a port writes
        `Counts.reserved`, which is always zero today.

        Raises:
            StorageError: the id was given to a list before, or a list of this partner and tag exists that is not
                archived.
        """
        ...

    def get(self, list_id: str) -> VoucherList | None:
        """Return a list, or None where there is none or it was removed."""
        ...

    def expiries(self, list_ids: Collection[str]) -> dict[str, datetime]:
        """Return `expires_at` of each of these lists that exists, by id. It has a body."""
        found = ((list_id, self.get(list_id)) for list_id in list_ids)
        return {list_id: each.expires_at for list_id, each in found if each is not None}

    def hold(self, list_id: str) -> VoucherList | None:
        """Return what `get` does, in a transaction that will change the list by what it reads.

        Until it ends, no other transaction changes the list or takes codes of it. It has a body, for where
        transactions that write come one after the other anyway: `get`.
        """
        return self.get(list_id)

    def with_tag(self, partner: str, tag: str) -> VoucherList | None:
        """Return the list of this partner and tag that is not archived. There is at most one. It has a body."""
        everything = ListQuery(
            partner=partner,
            tag=tag,
            criteria=None,
            text=None,
            order=ListOrder.TAG,
            descending=False,
            after=None,
            limit=2**31,
        )
        found = (each for each in self.find(everything) if each.state is not State.ARCHIVED)
        return next(found, None)

    def save(self, voucher_list: VoucherList) -> None:
        """Replace the stored list by its next version: every field except those that the storage keeps.

        Raises:
            UnknownList: there is no such list.
            StaleVersion: the stored version is not the one before `voucher_list.version`.
        """
        ...

    def remove(self, list_id: str) -> None:
        """Make a list with its codes, uploads and links disappear, at a cost that does not grow with its codes.

        Only a list of which no code was given out is removed. `Storage.reclaim` may free the space later.
        """
        ...

    def find(self, query: ListQuery) -> list[VoucherList]:
        """Return a page of lists."""
        ...

    def announce(self, list_id: str, level: StockLevel) -> None:
        """Remember the stock level that was announced.

        Raises:
            UnknownList: there is no such list.
        """
        ...

    def touch(self, list_id: str, now: datetime, *, used_before: int | None = None) -> None:
        """Set `updated_at`, and `used_before` unless it is None; leave the version as it is.

        Raises:
            UnknownList: there is no such list.
        """
        ...


class Campaigns(Protocol):
    """The links between lists and campaigns."""

    def put(self, link: CampaignLink) -> None:
        """Store a link, or replace the one of the same list and campaign; its age and `linked_at` stay the first's.

        Raises:
            UnknownList: there is no such list.
        """
        ...

    def remove(self, list_id: str, campaign_id: str) -> bool:
        """Remove a link; return whether there was one."""
        ...

    def get(self, list_id: str, campaign_id: str) -> CampaignLink | None:
        """Return a link. It has a body."""
        return next((link for link in self.of_list(list_id) if link.campaign_id == campaign_id), None)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """Return the links of a list, ordered by campaign id."""
        ...

    def ids(self, after: str | None, limit: int) -> list[str]:
        """Return the ids of campaigns that have a link, each once, ordered by code points, after the given id."""
        ...

    def of_campaign(self, campaign_id: str) -> list[tuple[CampaignLink, VoucherList]]:
        """Return the links of a campaign with their lists, ordered by priority, then age of the link.

        The older link is the one that was stored first; `linked_at` is a fact to show and does not decide.

        The counters and the announced level of these lists need not be up to date: `Codes.take` tells them.
        """
        ...
