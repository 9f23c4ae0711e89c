"""Keep a campaign within its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.limits import Limit, LimitUsage, Per, limit_reached, reached, usage_of
from partner_vouchers.domain.reservation import KEPT, Reservation
from partner_vouchers.errors import LimitReached, Unsupported
from partner_vouchers.ports import Holding, RunOut, Transaction
from partner_vouchers.ports.codes import NOTHING
from partner_vouchers.usecases.wiring import Wiring

RUN_OUT_AT_ONCE = 100
"""How many reservations that have run out one request ends at most, beyond the codes that it asks for."""


class Limiter:
    """The limits of a campaign, for one request.

    Attributes:
        campaign_id: the campaign.
    """

    def __init__(self, tx: Transaction, campaign_id: str, limits: Sequence[Limit], now: datetime) -> None:
        self.campaign_id = campaign_id
        self._tx = tx
        self._now = now
        self._limits = limits
        self._per_user = [each for each in limits if each.per is Per.USER]
        # The limits per campaign: the key of each present window, and how many codes it allows.
        self._windows = {each.window(now).key: each.count for each in limits if each.per is Per.CAMPAIGN}

    def refusals_of_users(self, holdings: Mapping[str, Holding]) -> dict[str, LimitReached]:
        """Return why users get no further code, by user id, without those who get one."""
        if not self._per_user:
            return {}
        having = [user_id for user_id, holding in holdings.items() if holding != NOTHING]
        if not having:
            return {}
        usages: dict[str, list[LimitUsage]] = {user_id: [] for user_id in having}
        for limit in self._per_user:
            window = limit.window(self._now)
            given = self._tx.limits.given_to(having, self.campaign_id, window, self._now)
            for user_id in having:
                usages[user_id].append(usage_of(limit, given.get(user_id, 0), self._now))
        found = {user_id: reached(of_user) for user_id, of_user in usages.items()}
        return {
            user_id: limit_reached(self.campaign_id, usage)
            for user_id, usage in found.items()
            if usage is not None
        }

    def usages(self, user_id: str | None) -> list[LimitUsage]:
        """Return how far the limits are used, also those of a user, in a transaction that may only read."""
        limits, found = self._tx.limits, list[LimitUsage]()
        for limit in self._limits:
            window = limit.window(self._now)
            used: int | None = None
            if limit.per is Per.CAMPAIGN:
                counted = limits.counts(self.campaign_id, [window.key])[window.key]
                used = counted - limits.run_out(self.campaign_id, window, self._now)
            elif user_id is not None:
                used = limits.given_to([user_id], self.campaign_id, window, self._now).get(user_id, 0)
            found.append(usage_of(limit, used, self._now))
        return found

    def room(self, codes: int) -> tuple[int, LimitReached | None]:
        """Return how many of `codes` the campaign may give, and why no more.

        Until the transaction ends, others cannot use that room.
        """
        windows = self._windows
        if not windows:
            return codes, None
        while True:
            counts = self._tx.limits.counts_for_update(self.campaign_id, windows, codes)
            left = codes
            for key, most in windows.items():
                left = min(left, most - counts[key])
            if left == codes:
                return codes, None
            if not self._end_run_out():
                return max(left, 0), self._reached(counts, codes)

    def take_room(self) -> LimitReached | None:
        """Count one code, or return why the campaign gives no more."""
        windows = self._windows
        if not windows or self._tx.limits.count_within(self.campaign_id, windows, 1):
            return None
        _, refusal = self.room(1)
        if refusal is None:
            self.count(1)
        return refusal

    def count(self, codes: int) -> None:
        """Count codes that were given; a negative number, where room that was taken is not used."""
        if self._windows and codes:
            self._tx.limits.count(self.campaign_id, self._windows, codes)

    def _reached(self, counts: Mapping[str, int], codes: int) -> LimitReached | None:
        usages = [
            usage_of(each, counts[each.window(self._now).key], self._now)
            for each in self._limits
            if each.per is Per.CAMPAIGN
        ]
        usage = reached(usages, codes)
        return None if usage is None else limit_reached(self.campaign_id, usage)

    def _end_run_out(self) -> bool:
        try:
            reservations = self._tx.reservations
        except Unsupported:
            return False
        ended = reservations.end_run_out(self._now, RUN_OUT_AT_ONCE, campaign_id=self.campaign_id)
        uncount_reservations(self._tx, ended)
        return bool(ended)


def end_run_out(tx: Transaction, list_id: str, codes: int, now: datetime) -> int:
    """End reservations of a list that have run out, so that their codes can be taken: as many as are asked for.

    Returns:
        how many it ended, at most `RUN_OUT_AT_ONCE` more than were asked for.
    """
    ended = tx.reservations.end_run_out(now, codes + RUN_OUT_AT_ONCE, list_id=list_id)
    uncount_reservations(tx, ended)
    remove_old(tx, now)
    return len(ended)


def return_run_out(wiring: Wiring, list_id: str, now: datetime) -> None:
    """End all reservations of a list that have run out, for what looks at its codes one by one."""
    while wiring.write(end_run_out, list_id, 0, now) == RUN_OUT_AT_ONCE:
        pass


def return_what_uploads_see(wiring: Wiring) -> None:
    """End the reservations that have run out of which an upload to any list would take notice.

    They are those of withdrawn uploads, whose codes are no duplicates any more, and those of archived lists.
    """
    now = wiring.now()

    def is_seen(tx: Transaction, list_id: str, run_out: RunOut) -> bool:
        voucher_list = tx.lists.get(list_id)
        return voucher_list is not None and (bool(run_out.withdrawn) or voucher_list.state is State.ARCHIVED)

    def find(tx: Transaction) -> list[str]:
        try:
            found = tx.reservations.run_out(None, now)
        except Unsupported:
            return []
        return [list_id for list_id, run_out in found.items() if is_seen(tx, list_id, run_out)]

    for list_id in wiring.read(find):
        return_run_out(wiring, list_id, now)


def remove_old(tx: Transaction, now: datetime) -> None:
    """Remove some reservations that ended long ago: more than the few that end now, so that they do not pile up."""
    tx.reservations.remove_ended(now - KEPT, 2 * RUN_OUT_AT_ONCE)


def uncount_reservations(tx: Transaction, ended: Iterable[Reservation]) -> None:
    """Take the codes of ended reservations out of the counts of limits."""
    uncount(tx, ((each.campaign_id, each.reserved_at) for each in ended))


def uncount(tx: Transaction, codes: Iterable[tuple[str | None, datetime]]) -> None:
    """Take codes out of the counts of limits: for each its campaign, or None, and the instant at which it counts."""
    by_campaign: dict[str, list[datetime]] = {}
    for campaign_id, instant in codes:
        if campaign_id is not None:
            by_campaign.setdefault(campaign_id, []).append(instant)
    for campaign_id, instants in sorted(by_campaign.items()):
        limits = limits_of(tx, campaign_id)
        freed = Counter(
            each.window(instant).key for each in limits if each.per is Per.CAMPAIGN for instant in instants
        )
        for key, count in sorted(freed.items()):
            tx.limits.count(campaign_id, [key], -count)


def limits_of(tx: Transaction, campaign_id: str) -> tuple[Limit, ...]:
    """Return the limits of a campaign; none in a storage without limits."""
    try:
        return tx.limits.get(campaign_id)
    except Unsupported:
        return ()
