"""Remember what the lists of a campaign look like, since it seldom changes and each assignment asks for it.

A remembered answer is used only while the storage's catalog token is the same. Every change of a list or a
link gives the storage a new, random token in the same transaction, so that a token also tells apart changes
that were rolled back, and changes by other processes.
"""

from __future__ import annotations

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.voucher_list import VoucherList

TOKEN = "catalog token"

Lists = list[tuple[CampaignLink, VoucherList]]

_MOST = 1_000


class Catalog:
    """The lists of the campaigns that were asked for lately; shared by all threads."""

    def __init__(self) -> None:
        self._campaigns: dict[str, tuple[str, Lists]] = {}

    def get(self, campaign_id: str, token: str) -> Lists | None:
        """Return the lists of a campaign as of `token`, where they are remembered."""
        known = self._campaigns.get(campaign_id)
        return known[1] if known is not None and known[0] == token else None

    def put(self, campaign_id: str, token: str, lists: Lists) -> None:
        """Remember the lists of a campaign as of `token`, if it has any."""
        if lists:
            if len(self._campaigns) >= _MOST:
                self._campaigns.clear()
            self._campaigns[campaign_id] = (token, lists)


def renew_token(db: Database) -> None:
    """Make all that is remembered out of date, when the transaction commits."""
    db.execute("UPDATE pv_settings SET value = hex(randomblob(16)) WHERE name = ?", (TOKEN,))
