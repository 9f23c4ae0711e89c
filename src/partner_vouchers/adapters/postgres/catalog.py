"""Remember what the lists of a campaign look like, since it seldom changes and each assignment asks for it.

A remembered answer is used only while every row that it came from is still the same version of that row, which
the server tells by its place and the transaction that wrote it.
"""

from __future__ import annotations

from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.voucher_list import VoucherList

Lists = list[tuple[CampaignLink, VoucherList]]

Versions = list[tuple[int, str]]
"""The ids of the lists, in order, with the versions of their rows."""

_MOST = 1_000


class Catalog:
    """The lists of the campaigns that were asked for lately; shared by all threads."""

    def __init__(self) -> None:
        self._campaigns: dict[str, tuple[Versions, Lists]] = {}

    def get(self, campaign_id: str) -> tuple[Versions, Lists] | None:
        """Return what is remembered of a campaign."""
        return self._campaigns.get(campaign_id)

    def put(self, campaign_id: str, versions: Versions, lists: Lists) -> None:
        """Remember the lists of a campaign, if it has any."""
        if lists:
            if len(self._campaigns) >= _MOST:
                self._campaigns.clear()
            self._campaigns[campaign_id] = (versions, lists)
