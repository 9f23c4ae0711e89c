"""Voucher lists: create, look up, edit, pause, activate, archive, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import partial

from attrs import evolve

from partner_vouchers.domain.arguments import require_days, require_member
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.lifecycle import Status, criteria_for
from partner_vouchers.domain.list_view import ArchivedList, ListView, archived_view_of, view_of
from partner_vouchers.domain.stock import MONTH, LowStock, Stock, forecast
from partner_vouchers.domain.text import require_text
from partner_vouchers.domain.voucher_list import UNCHANGED, Unchanged, VoucherList
from partner_vouchers.errors import InvalidInput, Unsupported
from partner_vouchers.ports import ListOrder, ListQuery, SortKey, Transaction
from partner_vouchers.usecases.list_creation import ListCreation
from partner_vouchers.usecases.paging import Page, decode_cursor, no_cursor, page_of, require_limit
from partner_vouchers.usecases.stock import all_current, counts_at, current, notify_stock_level
from partner_vouchers.usecases.wiring import reclaim_some, record, require_actor, require_list

_COUNTERS = frozenset((ListOrder.UPLOADED, ListOrder.DISTRIBUTED))
_INSTANTS = frozenset((ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES))

Change = Callable[[VoucherList, datetime], tuple[VoucherList, tuple[Event, ...]]]


class ListsGroup(ListCreation):
    """The voucher lists; reached as `vouchers.lists`."""

    def get(self, list_id: str) -> ListView:
        """Return a list with its status as of now.

        Raises:
            UnknownList: there is none with this id.
            InvalidInput: the id is not a string.
        """
        now = self._wiring.now()
        return view_of(self._wiring.read(lambda tx: current(tx, require_list(tx, list_id), now)), now)

    def find(
        self,
        *,
        partner: str | None = None,
        tag: str | None = None,
        status: Status | str | None = None,
        text: str | None = None,
        sort: str = "-updated_at",
        after: str | None = None,
        limit: int = 50,
    ) -> Page[ListView]:
        """Return a page of lists.

        Args:
            partner: only lists of this partner.
            tag: only lists with this tag, in any case: the present one and archived ones.
            status: only lists with this status as of now, such as `"Active"`.
            text: only lists that contain it in partner, tag, name or description, in any case.
            sort: a name from `ports.ListOrder`; with a `-` before it, the greatest first.
            after: the `next` of the page before, from a call with the same arguments.
            limit: how many lists, from 1 to 1000.

        Raises:
            InvalidInput: there is no such `status`, `sort` or `limit`, or another argument is not a string.
            InvalidCursor: `after` is not from a page in this order.
        """
        now, limit = self._wiring.now(), require_limit(limit)
        wanted = ListQuery(
            partner=None if partner is None else require_text("partner", partner),
            tag=None if tag is None else require_text("tag", tag).lower(),
            criteria=None if status is None else criteria_for(require_member("status", status, Status), now),
            text=None if text is None else require_text("text", text).casefold(),
        )

        def read(tx: Transaction) -> Page[ListView]:
            page = _page_of_lists(tx, sort, after, limit, wanted)
            return Page(tuple(view_of(each, now) for each in all_current(tx, page.items, now)), page.next)

        return self._wiring.read(read)

    def edit(
        self,
        list_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged = UNCHANGED,
        expires_at: datetime | date | Unchanged = UNCHANGED,
        zone: tzinfo | None = None,
        low_stock_at: LowStock | Unchanged | None = UNCHANGED,
        expiring_soon: timedelta | Unchanged | None = UNCHANGED,
        version: int | None = None,
        actor: str | None = None,
    ) -> ListView:
        """Change the name, description, expiry or thresholds; arguments that you do not pass stay as they are.

        A later expiry brings an Expired list back to what it was, Active or Paused. A value that equals the present one
        is not a change and is not checked: a form of an Expired list can be saved with its old expiry and a new name.

        Args:
            list_id: the list.
            name: see `create`.
            description: see `create`.
            expires_at: see `create`.
            zone: see `create`.
            low_stock_at: see `create`; None for no threshold.
            expiring_soon: see `create`; None for no event.
            version: the `version` of the list that the change is based on; None overwrites any version.
            actor: the person who changes it, for the audit log.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived.
            StaleVersion: the list was changed since `version`.
            InvalidInput: a value breaks its rule, as in `create`.
        """
        change = partial(
            VoucherList.edit,
            name=name,
            description=description,
            expires_at=expires_at,
            zone=zone,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
        )
        return self._change(list_id, change, version, actor)

    def pause(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ListView:
        """Keep campaigns from using the codes until the list is activated.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is not Active.
            StaleVersion: the list was changed since `version`.
        """
        return self._change(list_id, VoucherList.pause, version, actor)

    def activate(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ListView:
        """Let campaigns use the codes of a paused list again.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is not Paused; an Expired one needs a later expiry first.
            StaleVersion: the list was changed since `version`.
        """
        return self._change(list_id, VoucherList.activate, version, actor)

    def archive(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> ArchivedList:
        """Close a list for good; its tag and its codes can be used again at once.

        Returns:
            the list, with the ids of the campaigns that are still linked to it and get no more codes from it.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived already.
            StaleVersion: the list was changed since `version`.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def archive(tx: Transaction) -> tuple[VoucherList, Sequence[CampaignLink]]:
            archived = _change_list(tx, list_id, VoucherList.archive, version, actor, now)
            return archived, tx.campaigns.of_list(list_id)

        archived, links = self._wiring.write(archive)
        return archived_view_of(archived, tuple(link.campaign_id for link in links), now)

    def delete(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> None:
        """Delete a list of which no code was given out. Its id is never used again.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived: it is kept for the record.
            ListLinked: a campaign is linked to it.
            ListDistributed: a code of it was given out or reserved, also if it came back; archive it instead.
            StaleVersion: the list was changed since `version`.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def remove(tx: Transaction) -> None:
            voucher_list = current(tx, require_list(tx, list_id, for_update=True), now)
            voucher_list.require_version(version)
            links = tx.campaigns.of_list(list_id)
            campaign_ids = tuple(link.campaign_id for link in links)
            events = voucher_list.delete(now, campaign_ids, was_used=_was_used(tx, list_id, now))
            tx.lists.remove(list_id)
            record(tx, events, actor)

        self._wiring.write(remove)
        reclaim_some(self._wiring)

    def stock(self, list_id: str) -> Stock:
        """Return how many codes a list has, how fast they go, and when it will have none left.

        It costs the same for any number of codes.

        Raises:
            UnknownList: there is none with this id.
            InvalidInput: the id is not a string.

        Example:
            >>> stock = vouchers.lists.stock(winter.id)
            >>> stock.counts.available, stock.runs_dry_on
            (5, None)
        """
        now = self._wiring.now()

        def read(tx: Transaction) -> tuple[VoucherList, dict[date, int]]:
            found = current(tx, require_list(tx, list_id), now)
            return found, tx.codes.given(found.id, now.date() - timedelta(days=MONTH), now.date())

        found, given = self._wiring.read(read)
        return forecast(found.id, found.counts, given, found.expires_at, now)

    def distribution(
        self, list_id: str, *, since: date | None = None, until: date | None = None
    ) -> dict[date, int]:
        """Return how many codes of a list were given to users on each UTC day; days without any are left out.

        A code counts on the day on which it was assigned, also if it was revoked since. It costs the same for any
        number of codes.

        Args:
            list_id: the list.
            since: the first day; None for the first of all.
            until: the last day; None for the last of all.

        Raises:
            UnknownList: there is none with this id.
            InvalidInput: an argument breaks its rule.
        """
        since, until = require_days(since, until)

        def read(tx: Transaction) -> dict[date, int]:
            return tx.codes.given(require_list(tx, list_id).id, since, until)

        return self._wiring.read(read)

    def _change(self, list_id: str, change: Change, version: int | None, actor: str | None) -> ListView:
        actor = require_actor(actor)
        now = self._wiring.now()

        return view_of(self._wiring.write(_change_list, list_id, change, version, actor, now), now)


def _was_used(tx: Transaction, list_id: str, now: datetime) -> bool:
    """Return whether a code of a list was given out or reserved, also if it came back since."""
    if tx.assignments.of_list(list_id, None, 1):
        return True
    try:
        reservations = tx.reservations
    except Unsupported:
        return False
    run_out = reservations.run_out([list_id], now).get(list_id)
    return reservations.has_returned(list_id) or (run_out is not None and run_out.codes > run_out.withdrawn)


def _change_list(
    tx: Transaction, list_id: str, change: Change, version: int | None, actor: str | None, now: datetime
) -> VoucherList:
    before = require_list(tx, list_id, for_update=True)
    before.require_version(version)
    after, events = change(before, now)
    if after is not before:
        tx.lists.save(after)
        record(tx, events, actor)
        if before.low_stock_at != after.low_stock_at and after.counts.uploaded:
            notify_stock_level(tx, after, after.notified, counts_at(tx, after.id, now), now)
    return current(tx, after, now)


def _page_of_lists(
    tx: Transaction, sort: str, after: object, limit: int, wanted: ListQuery
) -> Page[VoucherList]:
    """Return a page of lists.

    Args:
        tx: the transaction.
        sort: the name of an order, with a `-` before it from the greatest on.
        after: the cursor as the caller passed it.
        limit: how many lists the page may have.
        wanted: which lists; its order, place and limit are not used.

    Raises:
        InvalidInput: there is no such order.
        InvalidCursor: `after` is not a cursor of this order.
    """
    try:
        order, descending = ListOrder(sort.removeprefix("-")), sort.startswith("-")
    except (ValueError, AttributeError, TypeError):
        reason = f"must be one of {', '.join(ListOrder)}, with or without a '-' before it"
        raise InvalidInput(field="sort", reason=reason) from None
    result = f"lists in the order {'-' if descending else ''}{order.value}"

    def key(voucher_list: VoucherList) -> str | int:
        holder = voucher_list.counts if order in _COUNTERS else voucher_list
        found: str | int | datetime = getattr(holder, order.value)
        return found.isoformat() if isinstance(found, datetime) else found

    start: tuple[SortKey, str] | None = None
    if (place := decode_cursor(result, after, int if order in _COUNTERS else str, int)) is not None:
        start = (_instant(result, place[0]) if order in _INSTANTS else place[0]), str(place[1])
    query = evolve(wanted, order=order, descending=descending, after=start, limit=limit + 1)
    return page_of(result, tx.lists.find(query), limit, lambda last: (key(last), int(last.id)))


def _instant(result: str, text: str) -> datetime:
    try:
        return require_aware("after", datetime.fromisoformat(text))
    except (ValueError, InvalidInput) as error:
        raise no_cursor(result) from error
