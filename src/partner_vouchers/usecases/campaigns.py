"""Campaigns: which lists give their codes to which campaign."""

from __future__ import annotations

from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy, new_link, require_campaign_id
from partner_vouchers.domain.events import CampaignLinked, CampaignUnlinked, FieldChange, Value
from partner_vouchers.errors import NotLinked, UnknownEligibilityRule
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.wiring import Wiring, record, require_actor, require_list


class CampaignsGroup:
    """The links between lists and campaigns; reached as `vouchers.campaigns`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

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
        """Let a list give its codes to a campaign, or change how it does so.

        Args:
            list_id: the list; it may be paused or expired, but not archived.
            campaign_id: any id of the host's.
            repeat: what a user gets who asks again in the campaign.
            priority: lists with a lower number give their codes first, and among equals the one linked first.
            eligibility: the name of a rule that was handed to `PartnerVouchers`; only users who meet it get a code.
            actor: who links it, for the audit log.

        Raises:
            UnknownList: there is no such list.
            ActionNotAllowed: the list is archived.
            UnknownEligibilityRule: no rule of this name was handed in.
            InvalidInput: another value breaks its rule.
        """
        actor = require_actor(actor)
        now = self._wiring.now()
        if eligibility is not None and eligibility not in self._wiring.eligibility:
            raise UnknownEligibilityRule(name=eligibility, registered=tuple(self._wiring.eligibility))

        def put(tx: Transaction) -> CampaignLink:
            voucher_list = require_list(tx, list_id)
            voucher_list.require_not_archived("link")
            link = new_link(
                list_id=list_id,
                campaign_id=campaign_id,
                repeat=repeat,
                priority=priority,
                eligibility=eligibility,
                now=now,
            )
            before = tx.campaigns.get(list_id, campaign_id)
            tx.campaigns.put(link)
            changes = _changes(before, link)
            if changes:
                record(tx, [CampaignLinked(occurred_at=now, list_id=list_id, changes=changes)], actor)
            stored = tx.campaigns.get(list_id, campaign_id)
            tx.commit()
            return stored or link

        return transact(self._wiring, put)

    def unlink(self, list_id: str, campaign_id: str, *, actor: str | None = None) -> None:
        """End a link. What was given out stays given out.

        Raises:
            UnknownList: there is no such list.
            NotLinked: the list is not linked to the campaign.
            InvalidInput: `campaign_id` or `actor` breaks its rule.
        """
        actor = require_actor(actor)
        campaign_id = require_campaign_id(campaign_id)
        now = self._wiring.now()

        def remove(tx: Transaction) -> None:
            require_list(tx, list_id)
            before = tx.campaigns.get(list_id, campaign_id)
            if before is None:
                raise NotLinked(list_id=list_id, campaign_id=campaign_id)
            tx.campaigns.remove(list_id, campaign_id)
            event = CampaignUnlinked(occurred_at=now, list_id=list_id, changes=_changes(before, None))
            record(tx, [event], actor)
            tx.commit()

        transact(self._wiring, remove)

    def of_list(self, list_id: str) -> list[CampaignLink]:
        """Return the links of a list, ordered by campaign id.

        Raises:
            UnknownList: there is no such list.
        """

        def read(tx: Transaction) -> list[CampaignLink]:
            require_list(tx, list_id)
            return tx.campaigns.of_list(list_id)

        return transact(self._wiring, read, write=False)

    def lists_of(self, campaign_id: str) -> list[CampaignLink]:
        """Return the links of a campaign in the order in which its lists give their codes; empty for none."""
        campaign_id = require_campaign_id(campaign_id)
        found = transact(self._wiring, lambda tx: tx.campaigns.of_campaign(campaign_id), write=False)
        return [link for link, _ in found]


def _changes(before: CampaignLink | None, after: CampaignLink | None) -> tuple[FieldChange, ...]:
    names = ("campaign_id", "repeat", "priority", "eligibility")
    pairs = ((name, _plain(before, name), _plain(after, name)) for name in names)
    return tuple(FieldChange(name, old, new) for name, old, new in pairs if old != new)


def _plain(link: CampaignLink | None, name: str) -> Value:
    value = None if link is None else getattr(link, name)
    found: Value = value.value if isinstance(value, RepeatPolicy) else value
    return found
