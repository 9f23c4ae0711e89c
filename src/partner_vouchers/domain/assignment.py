"""Who gets which code: requests, assignments, and the choice of the list that gives the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Final, Protocol

from attrs import field, frozen

from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import StockEvent, StockExhausted, StockLow
from partner_vouchers.domain.lifecycle import ACTIVE, Status
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.stock import Counts, StockLevel, stock_level
from partner_vouchers.domain.text import MAX_NAME, has_control_character, require_own_id
from partner_vouchers.domain.voucher_list import ListSnapshot, VoucherList
from partner_vouchers.errors import (
    AssignmentRevoked,
    CodesExhausted,
    InvalidIdempotencyKey,
    InvalidInput,
    NoActiveList,
    NoCodeAvailable,
    NotEligible,
    PartnerVouchersError,
)


class Source(StrEnum):
    """How a code was asked for."""

    CAMPAIGN = "Campaign"
    API = "API"


# To read `value` of a member takes as long as to make half an event.
_SOURCES: Final = Source.CAMPAIGN.value, Source.API.value


@frozen
class Assignment:
    """A code that a user was given.

    Attributes:
        id: given by the storage.
        code: the voucher code, masked in the repr.
        user_id: who has it.
        campaign_id: the campaign that gave it, or None where it was asked of a list.
        ordinal: 1 for the user's first code in that campaign (without one: asked of that list), 2 for the next.
        assigned_at: when it was given, in UTC.
        snapshot: what the list said then.
        redeemed_at: when the code was used, in UTC, as look-ups show it; None where it was not.
        revoked_at: when the code was taken back, in UTC, as look-ups show it; None where it was not.
    """

    id: str
    code: str = field(repr=mask)
    user_id: str
    campaign_id: str | None
    ordinal: int
    assigned_at: datetime
    snapshot: ListSnapshot
    redeemed_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def list_id(self) -> str:
        """The list that the code came from."""
        return self.snapshot.list_id

    @property
    def source(self) -> Source:
        """How the code was asked for."""
        return Source.API if self.campaign_id is None else Source.CAMPAIGN

    def require_not_revoked(self) -> Assignment:
        """Return this assignment, to which an idempotency key belongs.

        Raises:
            AssignmentRevoked: it was revoked.
        """
        if self.revoked_at is not None:
            raise AssignmentRevoked(assignment_id=self.id, revoked_at=self.revoked_at)
        return self

    @property
    def event(self) -> VoucherRewarded:
        """The event `CT Partner Voucher Rewarded` of this assignment; the same whenever it is asked for."""
        return event_of(self.code, self.user_id, self.campaign_id, self.assigned_at, self.snapshot)


def event_of(
    code: str, user_id: str, campaign_id: str | None, assigned_at: datetime, snapshot: ListSnapshot
) -> VoucherRewarded:
    """Return the event of an assignment, of the attributes that it needs."""
    return VoucherRewarded(
        occurred_at=assigned_at,
        user_id=user_id,
        campaign_id=campaign_id,
        source=_SOURCES[campaign_id is None],
        voucher_code=code,
        list_id=snapshot.list_id,
        list_tag=snapshot.tag,
        list_name=snapshot.name,
        list_description=snapshot.description,
        list_expiry=snapshot.expires_at,
        partner=snapshot.partner,
    )


@frozen
class Reward:
    """The answer to a request for a code.

    Attributes:
        assignment: the code that the user has.
        replayed: whether the user had it already, so that nothing was given out now.
    """

    assignment: Assignment
    replayed: bool = False

    @property
    def id(self) -> str:
        """The id of the assignment."""
        return self.assignment.id

    @property
    def code(self) -> str:
        """The voucher code."""
        return self.assignment.code

    @property
    def list_id(self) -> str:
        """The list that the code came from."""
        return self.assignment.list_id

    @property
    def user_id(self) -> str:
        """The user who has it."""
        return self.assignment.user_id

    @property
    def campaign_id(self) -> str | None:
        """The campaign that gave it, or None where it was asked of a list."""
        return self.assignment.campaign_id

    @property
    def assigned_at(self) -> datetime:
        """When it was given, in UTC."""
        return self.assignment.assigned_at

    @property
    def event(self) -> VoucherRewarded:
        """The event of the assignment; of a replay, the event of the first time."""
        return self.assignment.event


class Unserved(str):  # noqa: SLOT000
    """A user whom a batch did not serve: the user's id, which also says why.

    Attributes:
        reason: the `code` of the error that `assign` raises for this user, such as `"limit_reached"`.
        error: that error, with all that it says; None in a replay.
    """

    reason: str
    error: PartnerVouchersError | None

    def __new__(cls, user_id: str, reason: str = "", error: PartnerVouchersError | None = None) -> Unserved:
        """Return the id of a user with the reason."""
        created = super().__new__(cls, user_id)
        created.reason = reason if error is None else error.code
        created.error = error
        return created

    @property
    def user_id(self) -> str:
        """The user's id, as a plain string."""
        return str(self)


@frozen
class BatchOutcome:
    """The answer to a request for codes for many users.

    Attributes:
        rewards: one for each user who has a code now, in the order of the request.
        unserved: the users for whom there was none, with the reason, in the order of the request.
    """

    rewards: tuple[Reward, ...]
    unserved: tuple[Unserved, ...] = ()


@frozen
class Request:
    """A request: a code from a campaign's lists, or from one list.

    Attributes:
        campaign_id: the campaign, or None.
        list_id: the list, or None.
        idempotency_key: the caller's key for the request, or None.
    """

    campaign_id: str | None
    list_id: str | None
    idempotency_key: str | None

    def fingerprint(self, *arguments: object) -> str:
        """Return a digest of the request's other arguments and of `arguments`, to compare a repeat with."""
        asked = ", ".join(map(_as_json, (self.campaign_id, self.list_id, *arguments)))
        return hashlib.sha256(f"[{asked}]".encode("ascii")).hexdigest()


def _as_json(value: object) -> str:
    if value is None:
        return "null"
    # `json.dumps` makes an encoder for each value, which takes forty times as long.
    return encode_basestring_ascii(value) if type(value) is str else json.dumps(value)


def new_request(campaign_id: object, list_id: object, idempotency_key: object) -> Request:
    """Return a request.

    Raises:
        InvalidInput: not exactly one of campaign and list is given, or its id is not a string.
        InvalidIdempotencyKey: the key is empty or too long.
    """
    if (campaign_id is None) == (list_id is None):
        raise InvalidInput(field="campaign_id", reason="pass either campaign_id or list_id")
    return Request(
        None if campaign_id is None else require_own_id("campaign_id", campaign_id),
        None if list_id is None else require_own_id("list_id", list_id),
        None if idempotency_key is None else _require_key(idempotency_key),
    )


def _require_key(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or has_control_character(value):
        raise InvalidIdempotencyKey(
            field="idempotency_key",
            reason=f"must be a string of 1 to {MAX_NAME} characters without control characters",
        )
    return str(value)


@frozen
class Candidate:
    """A list that may give the code.

    Attributes:
        voucher_list: the list.
        link: its link to the campaign, or None where the list was asked directly.
    """

    voucher_list: VoucherList
    link: CampaignLink | None = None


class FromList(Protocol):
    """A code that came from a list: an assignment or a reservation."""

    @property
    def list_id(self) -> str:
        """The list."""


def should_replay(
    held: FromList,
    candidates: Sequence[Candidate],
    now: datetime,
    find_list: Callable[[str], VoucherList | None],
) -> bool:
    """Return whether a user who holds a code and asks again gets that same code: the one place that decides it.

    The link of the list that the code came from decides; if that list is no longer linked, the first link by priority
    does. A list that is asked directly gives the same code.

    Args:
        held: the latest code that the user has, or has reserved, in the campaign, or else list.
        candidates: the lists that are linked now, in the order in which they give their codes.
        now: the present instant.
        find_list: returns the list with an id. It is called only where the validity of the code decides.
    """
    linked = next((each for each in candidates if each.voucher_list.id == held.list_id), None)
    decides = linked or next(iter(candidates), None)
    if decides is None or decides.link is None:
        return True
    if decides.link.repeat is not RepeatPolicy.SAME_WHILE_VALID:
        return decides.link.repeat is RepeatPolicy.SAME_CODE
    if isinstance(held, Assignment) and held.redeemed_at is not None:
        return False
    source = find_list(held.list_id) if linked is None else linked.voucher_list
    return source is not None and source.status_at(now) in (ACTIVE, Status.PAUSED)


EXHAUSTED = "exhausted"
NOT_ELIGIBLE = "not eligible"


def ineligibility_reason(
    candidate: Candidate,
    now: datetime,
    is_eligible: Callable[[str, Mapping[str, object]], bool],
    context: Mapping[str, object],
) -> str | None:
    """Return why a list cannot give a code now, or None when it can.

    Args:
        candidate: the list and its link.
        now: the present instant.
        is_eligible: says whether a user meets the eligibility rule of a name.
        context: what it is told of the user.

    Returns:
        the list's status when it is not Active, `"not eligible"`, or None. Whether it has a code left, only
        taking one can tell.
    """
    status = candidate.voucher_list.status_at(now)
    if status is not ACTIVE:
        return status.value
    link = candidate.link
    if link is not None and link.eligibility is not None and not is_eligible(link.eligibility, context):
        return NOT_ELIGIBLE
    return None


def no_code(campaign_id: str | None, reasons: tuple[tuple[str, str], ...]) -> NoCodeAvailable:
    """Return the error that says why no list can give a code."""
    given = {reason for _, reason in reasons}
    if EXHAUSTED in given:
        return CodesExhausted(campaign_id=campaign_id, lists=reasons)
    if NOT_ELIGIBLE in given:
        return NotEligible(campaign_id=campaign_id, lists=reasons)
    return NoActiveList(campaign_id=campaign_id, lists=reasons)


def stock_alerts(
    voucher_list: VoucherList, notified: StockLevel, counts: Counts, now: datetime
) -> tuple[StockLevel, tuple[StockEvent, ...]]:
    """Return the stock level of a list with these counts, and the events that notify of it.

    A level is notified once, when the stock falls to it; a top-up arms it again.
    """
    level = stock_level(counts, voucher_list.low_stock_at, voucher_list.used_before)
    kinds: list[type[StockEvent]] = []
    if notified < StockLevel.LOW <= level and voucher_list.low_stock_at is not None:
        kinds.append(StockLow)
    if notified < StockLevel.EXHAUSTED <= level:
        kinds.append(StockExhausted)
    return level, tuple(
        kind(
            occurred_at=now,
            list_id=voucher_list.id,
            partner=voucher_list.partner,
            list_tag=voucher_list.tag,
            available=max(counts.available, 0),
        )
        for kind in kinds
    )
