"""Voucher lists: create, look up, edit, pause, activate, archive, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from functools import partial

from attrs import evolve

from partner_vouchers.domain.arguments import require_days
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.forecast import MONTH, Stock, forecast
from partner_vouchers.domain.lifecycle import Status, criteria_for
from partner_vouchers.domain.list_view import ArchivedList, ListView, archived_view_of, view_of
from partner_vouchers.domain.stock import LowStock
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.domain.voucher_list import UNCHANGED, Unchanged, VoucherList, new_list, new_tag
from partner_vouchers.errors import (
    ExpiryNotInFuture,
    InvalidCursor,
    InvalidInput,
    TagTaken,
    UnknownPartner,
)
from partner_vouchers.ports import ListOrder, ListQuery, SortKey, Transaction
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of, require_limit
from partner_vouchers.usecases.partners import ensure_partner
from partner_vouchers.usecases.stock import notify_stock_level, without_run_out
from partner_vouchers.usecases.wiring import (
    Wiring,
    reclaim_some,
    record,
    require_actor,
    require_held_list,
    require_list,
)

# Room for a tag and a partner. A longer one would not fit into an index of PostgreSQL.
_LONGEST_SCOPE = 600

_COUNTERS = frozenset((ListOrder.UPLOADED, ListOrder.DISTRIBUTED))
_INSTANTS = frozenset((ListOrder.UPDATED, ListOrder.CREATED, ListOrder.EXPIRES))
_MOST_DIGITS = 18

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
        expiring_soon: timedelta | None = None,
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
            low_stock_at: codes left, or `PercentUsed(n)`, at which `list.running_low` is written.
            expiring_soon: how long before the expiry the event `list.expiring_soon` is written, once.
            actor: the person who creates it, for the audit log.

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
            ...     expires_at=datetime.now(UTC) + timedelta(days=90),
            ... )
            >>> created.tag, str(created.status)
            ('spring_sale_300', 'Active')
        """
        actor = require_actor(actor)
        partner = require_name("partner", partner)
        now = self._wiring.now()
        make = partial(
            new_list,
            partner=partner,
            tag=tag,
            name=name,
            description=description,
            expires_at=expires_at,
            zone=zone,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
            now=now,
        )

        def create(tx: Transaction) -> VoucherList:
            if tx.partners.get(partner) is None:
                raise UnknownPartner(name=partner)
            created, events = make(id=tx.lists.new_id())
            holder = tx.lists.with_tag(partner, created.tag)
            if holder is not None:
                raise TagTaken(partner=partner, tag=created.tag, list_id=holder.id)
            return self._add(tx, created, events, actor)

        return view_of(self._wiring.write_alone(create), now)

    def ensure(
        self,
        *,
        partner: str,
        tag: str,
        name: str,
        description: str = "",
        expires_at: datetime | date,
        zone: tzinfo | None = None,
        low_stock_at: LowStock | None = None,
        expiring_soon: timedelta | None = None,
        actor: str | None = None,
    ) -> ListView:
        """Return the partner's list that has the tag, and create the list and the partner if there is none.

        A deployment script can call it each time. An existing list is returned unchanged, in any status: nothing
        of it is changed, and its expiry may have passed.

        Args:
            partner: the name of the partner.
            tag: see `create`.
            name: of a new list; see `create`.
            description: likewise.
            expires_at: likewise.
            zone: likewise.
            low_stock_at: likewise.
            expiring_soon: likewise.
            actor: the person who creates it, for the audit log.

        Raises:
            InvalidTag: the tag is empty or holds white space.
            NaiveDatetime: the expiry has no time zone.
            ExpiryNotInFuture: there is no such list, and the expiry is not in the future.
            InvalidInput: another value breaks its rule.

        Example:
            >>> vouchers.lists.ensure(
            ...     partner="Puma", tag="winter", name="Winter Sale", expires_at=datetime.now(UTC) + timedelta(days=90)
            ... ).id == winter.id
            True
        """
        actor = require_actor(actor)
        partner = require_name("partner", partner)
        now = self._wiring.now()
        make = partial(
            new_list,
            partner=partner,
            tag=tag,
            name=name,
            description=description,
            expires_at=expires_at,
            zone=zone,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
            now=now,
        )
        # Invalid arguments are an error even if the list exists, except an expiry that has passed.
        with suppress(ExpiryNotInFuture):
            make(id="0")

        def ensure(tx: Transaction) -> VoucherList:
            known = tx.lists.with_tag(partner, new_tag(tag))
            if known is not None:
                return without_run_out(tx, [known], now)[0]
            created, events = make(id=tx.lists.new_id())
            ensure_partner(tx, partner, actor, now)
            return self._add(tx, created, events, actor)

        return view_of(self._wiring.write_alone(ensure), now)

    def get(self, list_id: str) -> ListView:
        """Return a list with its status as of now.

        Raises:
            UnknownList: there is none with this id.
            InvalidInput: the id is not a string.
        """
        now = self._wiring.now()
        return view_of(self._wiring.read(_read_one, list_id, now), now)

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
        now = self._wiring.now()
        limit = require_limit(limit)
        order, descending = _parse_sort(sort)
        result = f"lists in the order {'-' if descending else ''}{order.value}"
        query = ListQuery(
            partner=None if partner is None else require_text("partner", partner),
            tag=None if tag is None else require_text("tag", tag).lower(),
            criteria=None if status is None else criteria_for(_parse_status(status), now),
            text=None if text is None else require_text("text", text).casefold(),
            order=order,
            descending=descending,
            after=_after(result, after, order),
            limit=limit + 1,
        )

        def read(tx: Transaction) -> Page[ListView]:
            found = tx.lists.find(query)
            page = page_of(result, found, limit, lambda last: (_plain_key(last, order), last.id))
            return Page(tuple(view_of(each, now) for each in without_run_out(tx, page.items, now)), page.next)

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

        def change(voucher_list: VoucherList, now: datetime) -> tuple[VoucherList, tuple[Event, ...]]:
            return voucher_list.edit(
                now,
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
            archived = without_run_out(
                tx, [_apply(tx, list_id, VoucherList.archive, version, actor, now)], now
            )[0]
            links = tx.campaigns.of_list(list_id)
            tx.commit()
            return archived, links

        archived, links = self._wiring.write(archive)
        return archived_view_of(archived, tuple(link.campaign_id for link in links), now)

    def delete(self, list_id: str, *, version: int | None = None, actor: str | None = None) -> None:
        """Delete a list of which no code was given out. Its id is never used again.

        Raises:
            UnknownList: there is none with this id.
            ActionNotAllowed: the list is archived: it is kept for the record.
            ListLinked: a campaign is linked to it.
            ListDistributed: a code of it was given out; archive it instead.
            StaleVersion: the list was changed since `version`.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def remove(tx: Transaction) -> None:
            voucher_list = without_run_out(tx, [require_held_list(tx, list_id)], now)[0]
            voucher_list.require_version(version)
            links = tx.campaigns.of_list(list_id)
            was_used = bool(tx.assignments.of_list(voucher_list.id, None, 1))
            events = voucher_list.delete(now, tuple(link.campaign_id for link in links), was_used=was_used)
            tx.lists.remove(list_id)
            record(tx, events, actor)
            tx.commit()

        self._wiring.write(remove)
        if not self._wiring.in_host_transaction:
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
            (found,) = without_run_out(tx, [require_list(tx, list_id)], now)
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

        def save(tx: Transaction) -> VoucherList:
            after = without_run_out(tx, [_apply(tx, list_id, change, version, actor, now)], now)[0]
            tx.commit()
            return after

        return view_of(self._wiring.write(save), now)

    def _add(
        self, tx: Transaction, created: VoucherList, events: Sequence[Event], actor: str | None
    ) -> VoucherList:
        scope = require_text("duplicates", self._wiring.duplicates.scope(created), most=_LONGEST_SCOPE)
        created = evolve(created, scope=scope)
        tx.lists.add(created)
        record(tx, events, actor)
        tx.commit()
        return created


def _read_one(tx: Transaction, list_id: str, now: datetime) -> VoucherList:
    return without_run_out(tx, [require_list(tx, list_id)], now)[0]


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


def _plain_key(voucher_list: VoucherList, order: ListOrder) -> str | int:
    """Return the value by which a list is sorted, as it is put into a cursor."""
    if order in _COUNTERS:
        found: int = getattr(voucher_list.counts, order.value)
        return found
    key = getattr(voucher_list, order.value)
    return key.isoformat() if isinstance(key, datetime) else str(key)


def _after(result: str, after: object, order: ListOrder) -> tuple[SortKey, str] | None:
    """Return the place of a cursor in an order.

    Raises:
        InvalidCursor: it is not a cursor of this order.
    """
    place = decode_cursor(result, after, int if order in _COUNTERS else str, str)
    if place is None:
        return None
    key, list_id = place
    if order in _INSTANTS:
        try:
            key = require_aware("after", datetime.fromisoformat(key))
        except (ValueError, InvalidInput) as error:
            raise InvalidCursor(field="after", reason=f"is not the `next` of a page of {result}") from error
    if not (list_id.isascii() and list_id.isdigit() and len(list_id) <= _MOST_DIGITS):
        raise InvalidCursor(field="after", reason=f"is not the `next` of a page of {result}")
    return key, list_id
