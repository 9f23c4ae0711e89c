"""Remember what the lists of a campaign look like, since it seldom changes and each assignment asks for it.

A remembered answer is used only while the storage's catalog token is the same. Every change of a list or a
link gives the storage a new, random token in the same transaction, so that a token also tells apart changes
that were rolled back, and changes by other processes.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.voucher_list import VoucherList

_MOST = 1_000
TOKEN = "catalog token"


@frozen
class LinkedList:
    """A list of a campaign without what changes at each assignment.

    Attributes:
        link: the link.
        number: the number of the list.
        with_stock: completes the list with `counts` and `announced`.
    """

    link: CampaignLink
    number: int
    with_stock: Callable[..., VoucherList]


@frozen
class KnownCampaign:
    """The lists of a campaign.

    Attributes:
        token: the catalog token as of which this is known.
        lists: its lists, in the order in which they give their codes; none where nothing is remembered.
    """

    token: str
    lists: tuple[LinkedList, ...]


class Catalog:
    """The lists of the campaigns that were asked for lately; shared by all threads."""

    def __init__(self) -> None:
        self._campaigns: dict[str, KnownCampaign] = {}

    def get(self, campaign_id: str) -> KnownCampaign | None:
        """Return what is known of a campaign; whether it is out of date, its token tells."""
        return self._campaigns.get(campaign_id)

    def put(self, campaign_id: str, token: str, lists: tuple[LinkedList, ...]) -> KnownCampaign:
        """Remember the lists of a campaign as of `token`, if it has any."""
        known = KnownCampaign(token, lists)
        if lists:
            if len(self._campaigns) >= _MOST:
                self._campaigns.clear()
            self._campaigns[campaign_id] = known
        return known


def renew_token(db: Database) -> None:
    """Make all that is remembered out of date, when the transaction commits."""
    db.execute("UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = ?", (TOKEN,))
