"""Voucher lists: create, look up, edit, pause, activate, archive, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, tzinfo

from attrs import evolve

from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.lifecycle import Status, criteria_for
from partner_vouchers.domain.list_view import ArchivedList, ListView, archived_view_of, view_of
from partner_vouchers.domain.stock import LowStock
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.domain.voucher_list import UNCHANGED, Unchanged, VoucherList, new_list
from partner_vouchers.errors import InvalidInput, StorageError, TagTaken, UnknownPartner
from partner_vouchers.ports import ListOrder, ListQuery, SortKey, Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.paging import Page, decode_cursor, encode_cursor, require_limit
from partner_vouchers.usecases.stock import notify_stock_level
from partner_vouchers.usecases.wiring import Wiring, record, require_actor, require_held_list, require_list

_RECLAIM_SECONDS = 0.05
"""How long a deletion frees space before it returns: enough for a list of some thousand codes."""

Change = Callable[[VoucherList, datetime], tuple[VoucherList, tuple[Event, ...]]]


class ListsGroup:
    """The voucher lists; reached as `vouchers.lists`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def create(
        self,
        *,
        partner: str,
        tag: str,
        name: str,
        description: str = "",
        expires_at: datetime | date,
        zone: tzinfo | None = None,
        low_stock_at: LowStock | None = None,
        actor: str | None = None,
    ) -> ListView:
        """Create an empty, active list.

        Args:
            partner: the name of an existing partner.
            tag: a short name without white space, kept in lower case; unique among the partner's lists
                that are not archived.
            name: used in communication.
            description: the usage conditions.
            expires_at: the last instant at which a code is given out: an aware datetime, or a date, which means
                23:59:59 of that day in `zone`.
            zone: the time zone of a bare date.
            low_stock_at: codes left, or `PercentUsed(n)`, at which an event tells that the list is running low.
            actor: who creates it, for the audit log.

        Raises:
            UnknownPartner: there is no such partner.
            InvalidTag: the tag is empty or holds white space.
            TagTaken: another list of the partner has the tag.
            NaiveDatetime: the expiry has no time zone.
            ExpiryNotInFuture: the expiry is not in the future.
            InvalidInput: another value breaks its rule.

        Example:
            >>> created = vouchers.lists.create(
            ...     partner="Puma", tag="Spring_Sale_300", name="Spring Sale",
            ...     expires_at=datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC),
            ... )
            >>> created.tag, str(created.status)
            ('spring_sale_300', 'Active')
        """
        actor = require_actor(actor)
        partner = require_name("partner", partner)
        now = self._wiring.now()

        def add(tx: Transaction) -> VoucherList:
            if tx.partners.get(partner) is None:
                raise UnknownPartner(name=partner)
            created, events = new_list(
                id=tx.lists.new_id(),
                partner=partner,
                tag=tag,
                name=name,
                description=description,
                expires_at=expires_at,
                zone=zone,
                low_stock_at=low_stock_at,
                now=now,
            )
            scope = require_text("duplicates", self._wiring.duplicates.scope(created))
            created = evolve(created, scope=scope)
            holder = tx.lists.with_tag(partner, created.tag)
            if holder is not None:
                raise TagTaken(partner=partner, tag=created.tag, list_id=holder.id)
            tx.lists.add(created)
            record(tx, events, actor)
            tx.commit()
            return created

        return view_of(transact(self._wiring, add), now)

    def get(self, list_id: str) -> ListView:
        """Return a list with its status as of now.

        Raises:
            UnknownList: there is none with this id.
        """
        now = self._wiring.now()
        return view_of(transact(self._wiring, require_list, list_id, write=False), now)

    def find(
        self,
        *,
        partner: str | None = None,
        status: Status | str | None = None,
        text: str | None = None,
        sort: str = "-updated_at",
        after: str | None = None,
        limit: int = 50,
    ) -> Page[ListView]:
        """Return a page of lists.

        Args:
            partner: only lists of this partner.
            status: only lists with this status as of now, such as `"Active"`.
            text: only lists in whose partner, tag, name or description this stands, in any case.
            sort: a name from `ports.ListOrder`; with a `-` before it, the greatest first.
            after: the `next` of the page before, from a call with the same arguments.
            limit: how many lists, from 1 to 1000.

        Raises:
            InvalidInput: `status`, `sort` or `limit` is none that exists, or `partner` or `text` is no text.
            InvalidCursor: `after` is not from a page in this order.
        """
        now = self._wiring.now()
        order, descending = _parse_sort(sort)
        query = ListQuery(
            partner=None if partner is None else require_text("partner", partner),
            criteria=None if status is None else criteria_for(_parse_status(status), now),
            text=None if text is None else require_text("text", text).casefold(),
            order=order,
            descending=descending,
            after=None if after is None else decode_cursor(after, order, descending),
            limit=require_limit(limit) + 1,
        )
        found = transact(self._wiring, lambda tx: tx.lists.find(query), write=False)
        shown = found[:limit]
        more = len(found) > limit
        next_cursor = (
            encode_cursor(order, descending, _sort_key(shown[-1], order), shown[-1].id) if more else None
        )
        return Page(tuple(view_of(voucher_list, now) for voucher_list in shown), next_cursor)

    def edit(
        self,
        list_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged = UNCHANGED,
        expires_at: datetime | date | Unchanged = UNCHANGED,
        zone: tzinfo | None = None,
        low_stock_at: LowStock | Unchanged | None = UNCHANGED,
        version: int | None = None,
        actor: str | None = None,
    ) -> ListView:
        """Change the name, description, expiry or stock threshold; what is not named stays as it is.

        A later expiry brings an Expired list back to what it was, Active or Paused.

        Args:
            list_id: the list.
            name: see `create`.
            description: see `create`.
            expires_at: see `create`.
            zone: see `create`.
            low_stock_at: see `create`; None for no threshold.
            version: the `version` of the list that the change is based on; None overwrites whatever there is.
            actor: who changes it, for the audit log.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived.
            StaleVersion: somebody else changed the list since `version`.
            InvalidInput: a value breaks its rule, as in `create`.
        """

        def change(voucher_list: VoucherList, now: datetime) -> tuple[VoucherList, tuple[Event, ...]]:
            return voucher_list.edit(
                now,
                name=name,
                description=description,
                expires_at=expires_at,
                zone=zone,
                low_stock_at=low_stock_at,
            )

        return self._change(list_id, change, version, actor)

    def pause(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ListView:
        """Keep campaigns from using the codes until the list is activated.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is not Active.
            StaleVersion: somebody else changed the list since `version`.
        """
        return self._change(list_id, VoucherList.pause, version, actor)

    def activate(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ListView:
        """Let campaigns use the codes of a paused list again.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is not Paused; an Expired one needs a later expiry first.
            StaleVersion: somebody else changed the list since `version`.
        """
        return self._change(list_id, VoucherList.activate, version, actor)

    def archive(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ArchivedList:
        """Close a list for good; its tag and its codes can be used again at once.

        Returns:
            the list, with the ids of the campaigns that are still linked to it and get no more codes from it.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived already.
            StaleVersion: somebody else changed the list since `version`.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def archive(tx: Transaction) -> tuple[VoucherList, Sequence[CampaignLink]]:
            archived = _apply(tx, list_id, VoucherList.archive, version, actor, now)
            links = tx.campaigns.of_list(list_id)
            tx.commit()
            return archived, links

        archived, links = transact(self._wiring, archive)
        return archived_view_of(archived, tuple(link.campaign_id for link in links), now)

    def delete(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> None:
        """Delete a list of which no code was given out. Its id is never used again.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived: it is kept for the record.
            ListLinked: a campaign is linked to it.
            ListDistributed: a code of it was given out; archive it instead.
            StaleVersion: somebody else changed the list since `version`.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def remove(tx: Transaction) -> None:
            voucher_list = require_held_list(tx, list_id)
            voucher_list.require_version(version)
            links = tx.campaigns.of_list(list_id)
            events = voucher_list.delete(now, tuple(link.campaign_id for link in links))
            tx.lists.remove(list_id)
            record(tx, events, actor)
            tx.commit()

        transact(self._wiring, remove)
        if not self._wiring.in_host_transaction:
            # The list is deleted. What is not freed by now, later deletions and `uploads.recover` free.
            with suppress(StorageError):
                self._wiring.storage.reclaim(_RECLAIM_SECONDS)

    def _change(self, list_id: str, change: Change, version: int | None, actor: str | None) -> ListView:
        actor = require_actor(actor)
        now = self._wiring.now()

        def save(tx: Transaction) -> VoucherList:
            after = _apply(tx, list_id, change, version, actor, now)
            tx.commit()
            return after

        return view_of(transact(self._wiring, save), now)


def _apply(
    tx: Transaction, list_id: str, change: Change, version: int | None, actor: str | None, now: datetime
) -> VoucherList:
    before = require_held_list(tx, list_id)
    before.require_version(version)
    after, events = change(before, now)
    if after is not before:
        tx.lists.save(after)
        record(tx, events, actor)
        if before.low_stock_at != after.low_stock_at and after.counts.uploaded:
            notify_stock_level(tx, after, after.notified, after.counts, now)
    return after


def _parse_status(status: Status | str) -> Status:
    try:
        return Status(status)
    except ValueError:
        raise InvalidInput(field="status", reason=f"must be one of {', '.join(Status)}") from None


def _parse_sort(sort: str) -> tuple[ListOrder, bool]:
    try:
        return ListOrder(sort.removeprefix("-")), sort.startswith("-")
    except (ValueError, AttributeError, TypeError):
        names = ", ".join(ListOrder)
        raise InvalidInput(
            field="sort", reason=f"must be one of {names}, with or without a '-' before it"
        ) from None


def _sort_key(voucher_list: VoucherList, order: ListOrder) -> SortKey:
    match order:
        case ListOrder.UPLOADED:
            return voucher_list.counts.uploaded
        case ListOrder.DISTRIBUTED:
            return voucher_list.counts.distributed
        case _:
            key: SortKey = getattr(voucher_list, order.value)
            return key
