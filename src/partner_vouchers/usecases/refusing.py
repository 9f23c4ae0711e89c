"""Add up refused requests in this process, and log and store them seldom: a dry campaign is asked very often."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from partner_vouchers.domain.refusals import (
    Refusal,
    RefusalCount,
    RefusalReason,
    refusal_keys,
    refusal_reason,
)
from partner_vouchers.errors import CampaignNotLinked, Unsupported
from partner_vouchers.ports import Transaction

STORED_AFTER = timedelta(seconds=1)
"""How long refusals wait for the next write of this process before a call stores them by itself."""

SUMMARY_EVERY = timedelta(minutes=1)
"""The time between two log lines about refused requests."""

_LOG = logging.getLogger("partner_vouchers.refusals")
_COMPACT_AT = 10_000

Refused = tuple[str, date, RefusalReason, tuple[tuple[str, str], ...]]
"""The campaign, the day, the reason, and the lists that were asked with theirs."""


class RefusalTally:
    """The refused requests that are not stored or logged yet. All threads of a process share one, without a lock.

    Attributes:
        pending: those that are not stored; empty if there are none, which is nearly always.
    """

    def __init__(self) -> None:
        # Appending to a deque and taking from it cannot be interrupted halfway, so nothing is lost or doubled.
        self.pending: deque[tuple[Refused, int]] = deque()
        self._since: datetime | None = None
        self._process = os.getpid()
        self._supported = True
        # Two threads at once may lose one here: a line of the log is not that exact.
        self._unsaid = Counter[tuple[str | None, str]]()
        self._said_at: datetime | None = None

    def add(self, campaign_id: str | None, refusal: Refusal, now: datetime) -> None:
        """Count a refusal. Without a campaign it is only logged."""
        self._unsaid[campaign_id, refusal.code] += 1
        if self._said_at is None or abs(now - self._said_at) >= SUMMARY_EVERY:
            self._said_at = now
            self._log()
        if campaign_id is None or not self._supported:
            return
        self._leave_to_parent()
        if not self.pending:
            self._since = now
        lists = () if isinstance(refusal, CampaignNotLinked) else refusal.lists
        self.pending.append(((campaign_id, now.date(), refusal_reason(refusal), lists), 1))
        if len(self.pending) >= _COMPACT_AT:
            self.put_back(self.take())

    def _log(self) -> None:
        counts, self._unsaid = self._unsaid, Counter()
        parts = (
            f"{reason} {count}" + ("" if campaign is None else f" (campaign {campaign!r})")
            for (campaign, reason), count in counts.most_common()
        )
        if counts:  # which another thread may have logged
            _LOG.warning("refused requests: %s", ", ".join(parts))

    def is_due(self, now: datetime) -> bool:
        """Return whether refusals have waited for a second; also if the clock went back."""
        return self._since is None or abs(now - self._since) >= STORED_AFTER

    def take(self) -> Counter[Refused]:
        """Take all refusals out, to store them."""
        self._leave_to_parent()
        counts = Counter[Refused]()
        while self.pending:
            try:
                refused, requests = self.pending.popleft()
            except IndexError:
                break
            counts[refused] += requests
        return counts

    def _leave_to_parent(self) -> None:
        if os.getpid() != self._process:
            # A forked child; its parent stores what was counted before.
            self.pending.clear()
            self._process = os.getpid()

    def put_back(self, counts: Mapping[Refused, int]) -> None:
        """Put back what could not be stored."""
        self.pending.extend(counts.items())

    def store(self, tx: Transaction, counts: Mapping[Refused, int]) -> None:
        """Store refusals in a transaction."""
        try:
            refusals = tx.refusals
        except Unsupported:
            self._supported = False
            return
        added: dict[str, Counter[tuple[date, RefusalReason, str | None]]] = {}
        for (campaign_id, day, reason, lists), requests in counts.items():
            of_campaign = added.setdefault(campaign_id, Counter())
            for each, list_id in refusal_keys(reason, lists):
                of_campaign[day, each, list_id] += requests
        for campaign_id, found in sorted(added.items()):
            refusals.add(campaign_id, [RefusalCount(*key, requests) for key, requests in found.items()])
