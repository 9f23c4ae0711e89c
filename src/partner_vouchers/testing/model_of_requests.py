"""A model of requests for codes: assignments, reservations, limits. See `model`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta

from attrs import define, field

from partner_vouchers import errors
from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.erasure import is_pseudonym
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.limits import Per
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.testing.model import (
    AVAILABLE,
    HELD,
    RESERVED,
    WITHDRAWN,
    Answer,
    KnownCode,
    KnownList,
    ModelOfLists,
    Refused,
    ScopeRule,
)

KEPT = timedelta(days=30)


@define
class Used:
    """A redemption."""

    order_id: str | None
    reverted: bool = False


@define(eq=False)
class Given:
    """An assignment.

    Attributes:
        counted_at: when it counts in limits: when its code was reserved, if it was.
        event_id: the id of its event in the outbox, once that was read.
        cancelled: whether its event must not be sent any more.
    """

    id: str
    code: KnownCode
    user_id: str
    campaign_id: str | None
    ordinal: int
    given_at: datetime
    counted_at: datetime
    revoked: bool = False
    redemptions: list[Used] = field(factory=list)
    event_id: str | None = None
    cancelled: bool = False

    @property
    def redemption(self) -> Used | None:
        """The redemption that is not reverted."""
        return next((each for each in self.redemptions if not each.reverted), None)


@define(eq=False)
class Reserved:
    """A reservation."""

    id: str
    code: KnownCode
    user_id: str
    campaign_id: str | None
    reserved_at: datetime
    expires_at: datetime
    state: ReservationState = ReservationState.OPEN
    ended_at: datetime | None = None
    given: Given | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is neither confirmed nor over."""
        return self.state is ReservationState.OPEN


Origin = tuple[str | None, str | None]
"""The campaign or, without one, the list that is asked."""

Choices = dict[str, list[tuple[str, str]]]
"""By user, what the library gave: the code and the id. The model checks that it might."""


class ModelOfRequests(ModelOfLists):
    """Requests for codes, their reservations, and the limits on them. Call `settle` whenever the clock has moved."""

    def __init__(self, scope_rule: ScopeRule, now: datetime) -> None:
        super().__init__(scope_rule, now)
        self.given: list[Given] = []
        self.reservations: dict[str, Reserved] = {}
        self.keys: dict[str, tuple[object, list[Given], list[str], Reserved | None]] = {}

    def settle(self) -> None:
        """End the reservations that have run out."""
        for each in self.reservations.values():
            if each.is_open and self.now >= each.expires_at:
                self._end(each, ReservationState.EXPIRED, each.expires_at)
                each.code.lingers = True
                self.lists[each.code.list_id].had_run_out = True

    # --- assignment and reservation ---

    def codes_assign(self, *, user_id: str, idempotency_key: str | None, **of: str | None) -> Answer:
        origin = _origin(**of)
        asked = ("one", user_id, origin)
        if self._is_known(idempotency_key, asked):
            return _answer(self._not_revoked(self.keys[idempotency_key or ""][1][0]), True)
        given, replayed = self._serve(user_id, origin, self._lists_of(origin), self._choices())
        self._remember(idempotency_key, asked, [given])
        return _answer(given, replayed)

    def codes_assign_many(
        self, users: Sequence[str], *, idempotency_key: str | None, partial: bool, **of: str | None
    ) -> Answer:
        origin = _origin(**of)
        asked = ("many", tuple(users), origin, partial)
        if self._is_known(idempotency_key, asked):
            _, given, unserved, _ = self.keys[idempotency_key or ""]
            return self._replay_many(users, given, unserved)
        lists, choices, before = self._lists_of(origin), self._choices(), deepcopy(vars(self))
        served: list[tuple[Given, bool]] = []
        unserved, refusals = list[str](), list[type[errors.PartnerVouchersError]]()
        for user in users:
            try:
                served.append(self._serve(user, origin, lists, choices))
            except Refused as refused:
                unserved.append(user)
                refusals.append(refused.error)
        if unserved and not partial:
            if not all(replayed for _, replayed in served):
                vars(self).update(before)
            raise Refused(refusals[0])
        self._remember(idempotency_key, asked, [given for given, _ in served], unserved)
        return {"rewards": [_answer(*each) for each in served], "unserved": unserved}

    def codes_reserve(
        self, *, user_id: str, ttl: timedelta, idempotency_key: str | None, **of: str | None
    ) -> Answer:
        origin = _origin(**of)
        asked = ("reserve", user_id, origin, ttl)
        if self._is_known(idempotency_key, asked):
            _, given, _, reserved = self.keys[idempotency_key or ""]
            return _reserved(given[0] if reserved is None else self._kept(reserved), True)
        lists, choices = self._lists_of(origin), self._choices()
        held = self._replayed(user_id, origin)
        if held is not None:
            self._remember(idempotency_key, asked, [held])
            return _reserved(held, True)
        mine = self._open_reservation(user_id, origin, choices)
        replayed = mine is not None
        if mine is None:
            self._require_room(user_id, origin)
            code, new_id = self._take(user_id, lists, choices)
            code.state = RESERVED
            mine = Reserved(new_id, code, user_id, origin[0], self.now, self.now + ttl)
            self.reservations[new_id] = mine
            self._announce(self.lists[code.list_id], falling=True)
        self._remember(idempotency_key, asked, [], reserved=mine)
        return _reserved(mine, replayed)

    def codes_confirm(self, reservation_id: str) -> Answer:
        found = self._kept(self.reservations[reservation_id])
        if found.state is ReservationState.CONFIRMED:
            assert found.given is not None
            return _answer(self._not_revoked(found.given), True)
        if found.state is ReservationState.EXPIRED:
            raise Refused(errors.ReservationExpired)
        if found.state is ReservationState.RELEASED:
            raise Refused(errors.ReservationReleased)
        return _answer(self._confirm(found, getattr(self.said, "id", "")), False)

    def codes_release(self, reservation_id: str) -> Answer:
        found = self._kept(self.reservations[reservation_id])
        if found.state is ReservationState.CONFIRMED:
            raise Refused(errors.AlreadyConfirmed)
        if found.is_open:
            self._end(found, ReservationState.RELEASED, self.now)
        return {"state": found.state}

    def used(self, campaign_id: str, user: str | None) -> list[int | None]:
        """Return how many codes count in each limit of a campaign."""
        counted = [
            (each.user_id, each.counted_at)
            for each in self.given
            if each.campaign_id == campaign_id and not each.revoked
        ]
        counted += [
            (each.user_id, each.reserved_at)
            for each in self.reservations.values()
            if each.campaign_id == campaign_id and each.is_open
        ]
        return [
            sum(
                self.in_present_window(limit, at) and (limit.per is Per.CAMPAIGN or whose == user)
                for whose, at in counted
            )
            if user is not None or limit.per is Per.CAMPAIGN
            else None
            for limit in self.limits.get(campaign_id, ())
        ]

    def _choices(self) -> Choices:
        found: Choices = {}
        for each in getattr(self.said, "rewards", [self.said]):
            if isinstance(each, Reservation) or (isinstance(each, Reward) and not each.replayed):
                found.setdefault(each.user_id, []).append((each.code, each.id))
        return found

    def _serve(
        self, user: str, origin: Origin, lists: list[KnownList], choices: Choices
    ) -> tuple[Given, bool]:
        held = self._replayed(user, origin)
        if held is not None:
            return held, True
        mine = self._open_reservation(user, origin, choices)
        if mine is not None:
            return self._confirm(mine, _pop(choices, user)[1]), False
        self._require_room(user, origin)
        code, new_id = self._take(user, lists, choices)
        return self._give(code, user, origin[0], new_id, self.now), False

    def _lists_of(self, origin: Origin) -> list[KnownList]:
        campaign_id, list_id = origin
        if list_id is not None:
            return [self.require(list_id)]
        linked = [self.lists[link.list_id] for link in self.lists_of(campaign_id or "")]
        if not linked:
            raise Refused(errors.CampaignNotLinked)
        return linked

    def _mine(self, user: str, origin: Origin) -> list[Given]:
        return [each for each in self.given if each.user_id == user and _asked(each) == origin]

    def _replayed(self, user: str, origin: Origin) -> Given | None:
        """Return the latest code that a user has, if they get that one again."""
        kept = [each for each in self._mine(user, origin) if not each.revoked]
        is_used = bool(kept) and kept[-1].redemption is not None
        return kept[-1] if kept and self._keeps(kept[-1].code.list_id, origin, is_used=is_used) else None

    def _keeps(self, list_id: str, origin: Origin, *, is_used: bool = False) -> bool:
        """Return whether a user who asks again gets the code of a list that they have or have reserved."""
        campaign_id, _ = origin
        if campaign_id is None:
            return True
        link = self.links.get((list_id, campaign_id)) or self.lists_of(campaign_id)[0]
        if link.repeat is not RepeatPolicy.SAME_WHILE_VALID:
            return link.repeat is RepeatPolicy.SAME_CODE
        return not is_used and self.status(self.lists[list_id]) in (Status.ACTIVE, Status.PAUSED)

    def _open_reservation(self, user: str, origin: Origin, choices: Choices) -> Reserved | None:
        found = [
            each
            for each in self.reservations.values()
            if each.is_open
            and each.user_id == user
            and _asked(each) == origin
            and self._keeps(each.code.list_id, origin)
        ]
        # Of several, any.
        codes = [code for code, _ in choices.get(user, ())]
        return next((each for each in found if each.code.code in codes), found[-1] if found else None)

    def _require_room(self, user: str, origin: Origin) -> None:
        campaign_id = origin[0] or ""
        for limit, used in zip(self.limits.get(campaign_id, ()), self.used(campaign_id, user), strict=False):
            if used is not None and used >= limit.count:
                raise Refused(errors.LimitReached)

    def _next_codes(self, lists: Sequence[KnownList]) -> list[KnownCode]:
        """Return the codes of which one is the next; of several that returned, any."""
        active = [known for known in lists if self.status(known) is Status.ACTIVE]
        for known in active:
            left = known.those(AVAILABLE)
            if left:
                return [code for code in left if code.returned] or left[:1]
            # That a list has run dry is announced once, also when a request finds it empty.
            self._announce(known, falling=True)
        raise Refused(errors.CodesExhausted if active else errors.NoActiveList)

    def _take(self, user: str, lists: Sequence[KnownList], choices: Choices) -> tuple[KnownCode, str]:
        choice = self._next_codes(lists)
        code, new_id = _pop(choices, user)
        taken = next((each for each in choice if code in (each.code, "")), None)
        assert taken is not None, f"{code} was given before its turn"
        taken.returned = taken.lingers = False
        return taken, new_id

    def _give(
        self, code: KnownCode, user: str, campaign_id: str | None, new_id: str, counted_at: datetime
    ) -> Given:
        # A batch that is refused says no ids, and is taken back.
        assert not new_id or new_id not in {each.id for each in self.given}, "an entry has two holders"
        code.state = HELD
        ordinal = len(self._mine(user, (campaign_id, None if campaign_id else code.list_id))) + 1
        given = Given(new_id, code, user, campaign_id, ordinal, self.now, counted_at)
        self.given.append(given)
        self.events.append(("CT Partner Voucher Rewarded", code.list_id, code.code, user))
        self._announce(self.lists[code.list_id], falling=True)
        return given

    def _confirm(self, reserved: Reserved, new_id: str) -> Given:
        given = self._give(
            reserved.code, reserved.user_id, reserved.campaign_id, new_id, reserved.reserved_at
        )
        # The event of a user who was forgotten while they had only reserved the code is never sent.
        given.cancelled = is_pseudonym(given.user_id)
        reserved.state, reserved.ended_at, reserved.given = ReservationState.CONFIRMED, self.now, given
        return given

    def _end(self, reserved: Reserved, state: ReservationState, at: datetime) -> None:
        reserved.state, reserved.ended_at = state, at
        code = reserved.code
        code.state, code.returned = WITHDRAWN if code.upload.is_withdrawn else AVAILABLE, True

    def _kept(self, reserved: Reserved) -> Reserved:
        is_over = reserved.state in (ReservationState.EXPIRED, ReservationState.RELEASED)
        if is_over and reserved.ended_at is not None and self.now >= reserved.ended_at + KEPT:
            raise Refused(errors.UnknownReservation)
        return reserved

    def _not_revoked(self, given: Given) -> Given:
        if given.revoked:
            raise Refused(errors.AssignmentRevoked)
        return given

    def _is_known(self, key: str | None, asked: object) -> bool:
        if key is None or key not in self.keys:
            return False
        if self.keys[key][0] != asked:
            raise Refused(errors.IdempotencyConflict)
        return True

    def _remember(
        self,
        key: str | None,
        asked: object,
        given: list[Given],
        unserved: Sequence[str] = (),
        reserved: Reserved | None = None,
    ) -> None:
        if key is not None:
            self.keys[key] = (asked, given, list(unserved), reserved)

    def _replay_many(self, users: Sequence[str], given: list[Given], unserved: list[str]) -> Answer:
        kept = [each for each in given if not each.revoked]
        left = Counter(each.user_id for each in kept)
        without: list[str] = []
        for user in users:
            if left[user]:
                left[user] -= 1
            else:
                without.append(user)
        return {"rewards": [_answer(each, True) for each in kept], "unserved": without}


def _asked(each: Given | Reserved) -> Origin:
    return each.campaign_id, None if each.campaign_id is not None else each.code.list_id


def _pop(choices: Choices, user: str) -> tuple[str, str]:
    found = choices.get(user)
    return found.pop(0) if found else ("", "")


def _origin(*, campaign_id: str | None = None, list_id: str | None = None) -> Origin:
    return campaign_id, list_id


def _answer(given: Given, replayed: bool) -> Answer:
    code = {"code": given.code.code, "list_id": given.code.list_id}
    user = {"user_id": given.user_id, "campaign_id": given.campaign_id}
    return {"id": given.id, **code, **user, "replayed": replayed}


def _reserved(found: Given | Reserved, replayed: bool) -> Answer:
    shown = {"code": found.code.code, "user_id": found.user_id, "replayed": replayed}
    if isinstance(found, Given):
        return {**shown, "expires_at": None}
    return {**shown, "id": found.id, "expires_at": found.expires_at, "state": found.state}
