"""Create voucher lists."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from typing import Any

from attrs import evolve

from partner_vouchers.domain.arguments import require_bool
from partner_vouchers.domain.list_view import ListView, view_of
from partner_vouchers.domain.stock import LowStock
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.domain.voucher_list import VoucherList, new_list, new_tag
from partner_vouchers.errors import ExpiryNotInFuture, TagTaken
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.partners import ensure_partner
from partner_vouchers.usecases.stock import current
from partner_vouchers.usecases.wiring import Group, record, require_actor, require_partner

# Room for a tag and a partner. A longer one would not fit into an index of PostgreSQL.
_LONGEST_SCOPE = 600


class ListCreation(Group):
    """The part of `vouchers.lists` that creates lists."""

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
        add_partner: bool = False,
        actor: str | None = None,
    ) -> ListView:
        """Create an empty, active list.

        Args:
            partner: the name of the partner.
            tag: a short name without white space, kept in lower case; unique among the partner's lists
                that are not archived.
            name: used in communication.
            description: the usage conditions.
            expires_at: the last instant at which a code is given out: an aware datetime, or a date, which means
                23:59:59 of that day in `zone`.
            zone: the time zone of a bare date.
            low_stock_at: codes left, or `PercentUsed(n)`, at which `list.running_low` is written.
            expiring_soon: how long before the expiry the event `list.expiring_soon` is written, once.
            add_partner: whether a partner that does not exist is added, with the list or not at all.
            actor: the person who creates it, for the audit log.

        Raises:
            UnknownPartner: there is no such partner, and `add_partner` is false.
            InvalidTag: the tag is empty or contains white space.
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
        return self._create(
            actor,
            may_exist=False,
            add_partner=require_bool("add_partner", add_partner),
            partner=partner,
            tag=tag,
            name=name,
            description=description,
            expires_at=expires_at,
            zone=zone,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
        )

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
            InvalidTag: the tag is empty or contains white space.
            NaiveDatetime: the expiry has no time zone.
            ExpiryNotInFuture: there is no such list, and the expiry is not in the future.
            InvalidInput: another value breaks its rule.

        Example:
            >>> vouchers.lists.ensure(
            ...     partner="Puma", tag="winter", name="Winter Sale", expires_at=datetime.now(UTC) + timedelta(days=90)
            ... ).id == winter.id
            True
        """
        return self._create(
            actor,
            may_exist=True,
            add_partner=True,
            partner=partner,
            tag=tag,
            name=name,
            description=description,
            expires_at=expires_at,
            zone=zone,
            low_stock_at=low_stock_at,
            expiring_soon=expiring_soon,
        )

    def _create(
        self, actor: object, *, may_exist: bool, add_partner: bool, partner: str, **described: Any
    ) -> ListView:
        """Create a list, with `add_partner` also its partner; with `may_exist`, return the one that has the tag."""
        who = require_actor(actor)
        partner = require_name("partner", partner)
        now = self._wiring.now()
        make = partial(new_list, partner=partner, now=now, **described)
        if may_exist:
            # Invalid arguments are an error even if the list exists, except an expiry that has passed.
            with suppress(ExpiryNotInFuture):
                make(id="0")

        def work(tx: Transaction) -> VoucherList:
            if may_exist:
                known = tx.lists.with_tag(partner, new_tag(described["tag"]))
                if known is not None:
                    return current(tx, known, now)
            if not add_partner:
                require_partner(tx, partner)
            created, events = make(id=tx.lists.new_id())
            holder = None if may_exist else tx.lists.with_tag(partner, created.tag)
            if holder is not None:
                raise TagTaken(partner=partner, tag=created.tag, list_id=holder.id)
            if add_partner:
                ensure_partner(tx, partner, who, now)
            scope = require_text("duplicates", self._wiring.duplicates.scope(created), most=_LONGEST_SCOPE)
            created = evolve(created, scope=scope)
            tx.lists.add(created)
            record(tx, events, who)
            return created

        return view_of(self._wiring.write_alone(work), now)
