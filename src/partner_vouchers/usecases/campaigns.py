"""Campaigns: which lists give their codes to which campaign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from partner_vouchers.domain.arguments import require_days
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy, new_link
from partner_vouchers.domain.events import (
    CampaignLinked,
    CampaignUnlinked,
    FieldChange,
    LimitsSet,
    changes_between,
)
from partner_vouchers.domain.limits import Limit, LimitUsage, Per, new_limits
from partner_vouchers.domain.refusals import RefusalCount
from partner_vouchers.domain.text import require_id, require_own_id
from partner_vouchers.errors import NotLinked, UnknownEligibilityRule
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.limiting import Limiter
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of, require_limit
from partner_vouchers.usecases.wiring import Group, record, require_actor, require_list

_RESULT = "campaigns"


class CampaignsGroup(Group):
    """The links between lists and campaigns; reached as `vouchers.campaigns`."""

    def link(
        self,
        list_id: str,
        campaign_id: str,
        *,
        repeat: RepeatPolicy = RepeatPolicy.SAME_CODE,
        priority: int = 0,
        eligibility: str | None = None,
        actor: str | None = None,
    ) -> CampaignLink:
        """Link a list to a campaign, which can then assign its codes; or replace the settings of an existing link.

        You can change an existing link at any time, also that of an archived list. An argument that you leave out gets
        its default.

        Args:
            list_id: the list; for a new link it may be paused or expired, but not archived.
            campaign_id: your id of the campaign, up to 255 characters.
            repeat: the result of a user's repeated request in the campaign.
            priority: lists with a lower number give their codes first, and among equals the one linked first.
            eligibility: the name of a rule that was passed to `PartnerVouchers`; only users who meet it get a code.
            actor: the person who links it, for the audit log.

        Raises:
            UnknownList: there is no such list.
            ActionNotAllowed: the list is archived and was not linked before.
            UnknownEligibilityRule: no rule with this name was passed.
            InvalidInput: another value breaks its rule.
        """
        actor = require_actor(actor)
        now = self._wiring.now()
        link = new_link(
            list_id=require_id("list_id", list_id),
            campaign_id=campaign_id,
            repeat=repeat,
            priority=priority,
            eligibility=eligibility,
            now=now,
        )
        if link.eligibility is not None and link.eligibility not in self._wiring.eligibility:
            raise UnknownEligibilityRule(name=link.eligibility, registered=tuple(self._wiring.eligibility))

        def put(tx: Transaction) -> CampaignLink:
            voucher_list = require_list(tx, link.list_id)
            before = tx.campaigns.get(link.list_id, link.campaign_id)
            if before is None:
                voucher_list.require_not_archived("link")
            changes = _changes(before, link)
            if changes:
                tx.campaigns.put(link)
                record(tx, [CampaignLinked(occurred_at=now, list_id=link.list_id, changes=changes)], actor)
            return tx.campaigns.get(link.list_id, link.campaign_id) or link

        return self._wiring.write(put)

    def unlink(self, list_id: str, campaign_id: str, *, actor: str | None = None) -> None:
        """End a link. Codes that were given out stay given out.

        Raises:
            UnknownList: there is no such list.
            NotLinked: the list is not linked to the campaign.
            InvalidInput: `campaign_id` or `actor` breaks its rule.
        """
        actor = require_actor(actor)
        campaign_id = require_own_id("campaign_id", campaign_id)
        now = self._wiring.now()

        def remove(tx: Transaction) -> None:
            # Requests that take codes of the list are waited for: none of them is in this campaign afterwards.
            require_list(tx, list_id, for_update=True)
            before = tx.campaigns.get(list_id, campaign_id)
            if before is None:
                raise NotLinked(list_id=list_id, campaign_id=campaign_id)
            tx.campaigns.remove(list_id, campaign_id)
            event = CampaignUnlinked(occurred_at=now, list_id=list_id, changes=_changes(before, None))
            record(tx, [event], actor)

        self._wiring.write(remove)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """Return the links of a list, ordered by campaign id.

        Raises:
            UnknownList: there is no such list.
        """
        return self._wiring.read(lambda tx: tx.campaigns.of_list(require_list(tx, list_id).id))

    def lists_of(self, campaign_id: str) -> list[CampaignLink]:
        """Return the links of a campaign in the order in which its lists give their codes; empty for none.

        Raises:
            InvalidInput: `campaign_id` is not an id.
        """
        campaign_id = require_own_id("campaign_id", campaign_id)
        return [link for link, _ in self._wiring.read(lambda tx: tx.campaigns.of_campaign(campaign_id))]

    def all(self, *, after: str | None = None, limit: int = 50) -> Page[str]:
        """Return a page of the ids of campaigns that have a linked list, ordered by id.

        Args:
            after: the `next` of the page before.
            limit: how many ids, from 1 to 1000.

        Raises:
            InvalidInput: `limit` is out of range.
            InvalidCursor: `after` is not a cursor of this result.

        Example:
            >>> list(vouchers.campaigns.all())
            ['CMP123456']
        """
        limit = require_limit(limit)
        place = decode_cursor(_RESULT, after, str)
        start: str | None = place[0] if place else None
        found = self._wiring.read(lambda tx: tx.campaigns.ids(start, limit + 1))
        return page_of(_RESULT, found, limit, lambda campaign_id: (campaign_id,))

    def set_limits(
        self, campaign_id: str, limits: Sequence[Limit], *, actor: str | None = None
    ) -> tuple[Limit, ...]:
        """Replace the limits of a campaign: how many codes it gives to each user and in all.

        Limits bind requests by `campaign_id`. They also count what was given before, and take nothing back. Counting
        that reads all assignments once, in the same transaction: other requests wait meanwhile.

        Args:
            campaign_id: the campaign; it need not have a list yet.
            limits: all its limits from now on; `[]` for none.
            actor: who sets them, for the audit log.

        Raises:
            InvalidInput: an argument breaks its rule.
            Unsupported: the storage keeps no limits.
            StorageBusy: codes of the campaign's lists were given out in open transactions for too long; call again.

        Example:
            >>> from partner_vouchers import Limit
            >>> limits = [Limit(1, per="user"), Limit(1_000, per="campaign", period="month", zone="Asia/Kolkata")]
            >>> len(vouchers.campaigns.set_limits("CMP123456", limits))
            2
        """
        campaign_id, actor = require_own_id("campaign_id", campaign_id), require_actor(actor)
        wanted = new_limits(limits)
        now = self._wiring.now()

        def replace(tx: Transaction) -> tuple[Limit, ...]:
            before = tx.limits.get_for_update(campaign_id)
            if before != wanted:
                # Another host may still be in the period before, or in the next one already.
                windows = {
                    window for each in wanted if each.per is Per.CAMPAIGN for window in each.windows_near(now)
                }
                counts = {each.key: tx.limits.given(campaign_id, each) for each in windows}
                tx.limits.replace(campaign_id, wanted, counts)
                change = FieldChange("limits", _said(before), _said(wanted))
                record(tx, [LimitsSet(occurred_at=now, campaign_id=campaign_id, changes=(change,))], actor)
            return wanted

        return self._wiring.write_alone(replace)

    def limits(self, campaign_id: str, *, user_id: str | None = None) -> list[LimitUsage]:
        """Return the limits of a campaign, each with what is used and left of it now.

        Args:
            campaign_id: the campaign.
            user_id: whose codes count for the limits per user; without it their `used` and `left` are None.

        Raises:
            InvalidInput: an argument is not an id.
            Unsupported: the storage keeps no limits.
        """
        campaign_id = require_own_id("campaign_id", campaign_id)
        user = None if user_id is None else require_own_id("user_id", user_id)
        now = self._wiring.now()

        def read(tx: Transaction) -> list[LimitUsage]:
            return Limiter(tx, campaign_id, tx.limits.get(campaign_id), now).usages(user)

        return self._wiring.read(read)

    def refusals(
        self, campaign_id: str, *, since: date | None = None, until: date | None = None
    ) -> list[RefusalCount]:
        """Return how often requests in a campaign were refused, by day, reason and list.

        A count without `list_id` is of requests. With `list_id` it says how often that list was asked and could not
        give a code; a request that asks two lists counts once for each. Other processes store what they refused a
        second later, with their next call.

        Args:
            campaign_id: the campaign.
            since: the first day, in UTC; None for all.
            until: the last day, in UTC.

        Raises:
            InvalidInput: an argument breaks its rule.
            Unsupported: the storage keeps no refusals.
        """
        campaign_id = require_own_id("campaign_id", campaign_id)
        first, last = require_days(since, until)
        self._wiring.store_refusals()
        return self._wiring.read(lambda tx: tx.refusals.of_campaign(campaign_id, first, last))


def _said(limits: Sequence[Limit]) -> str | None:
    """Return limits as the audit log says them; None for none."""
    return "; ".join(map(str, limits)) or None


def _changes(before: CampaignLink | None, after: CampaignLink | None) -> tuple[FieldChange, ...]:
    return changes_between(before, after, ("campaign_id", "repeat", "priority", "eligibility"))
