"""What becomes of a code: journeys of one user each, from the first request to the end.

A journey may be made again from its beginning: a backend that was killed repeats each call with the same keys and ids,
and each call then comes to what it came to before. `say` writes down what a call was answered, before the next call.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, timedelta

from partner_vouchers import Limit, PartnerVouchers, ReservationState
from partner_vouchers.domain.erasure import is_pseudonym
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.reconciliation import RowKind
from partner_vouchers.errors import (
    AlreadyRevoked,
    AssignmentRevoked,
    CodeMayBeKnown,
    RedemptionReverted,
    ReservationExpired,
)
from partner_vouchers.ports import OutboxEntry, Storage
from tests.concurrency.state import ListState
from tests.reliability.jobs import slices_of_rows

Say = Callable[..., None]
"""Writes down a step of a user, and facts that are the same whenever the step is repeated."""

Said = Mapping[tuple[str, str], list[str]]
"""The facts by user and step."""

Journey = Callable[[PartnerVouchers, str, Say], None]

CAMPAIGN = "CMP2"
LIMITS = [
    Limit(1, per="user"),
    Limit(900_000, per="campaign"),
    Limit(900_000, per="campaign", period="day", zone=UTC),
]

_LONG = timedelta(hours=1)


def _assign(vouchers: PartnerVouchers, user: str, say: Say) -> str:
    try:
        reward = vouchers.codes.assign(campaign_id=CAMPAIGN, user_id=user, idempotency_key=user)
    except AssignmentRevoked as revoked:
        # It was made before the process was killed.
        return revoked.assignment_id
    say("given", reward.id, reward.code)
    return reward.id


def _reserve(vouchers: PartnerVouchers, user: str, say: Say, ttl: timedelta = _LONG) -> str:
    made = vouchers.codes.reserve(campaign_id=CAMPAIGN, user_id=user, ttl=ttl, idempotency_key=f"{user} r")
    say("reserved", made.id, made.code)
    return made.id


def _confirm(vouchers: PartnerVouchers, user: str, say: Say, reservation_id: str) -> None:
    reward = vouchers.codes.confirm(reservation_id)
    say("given", reward.id, reward.code)


def _redeem(vouchers: PartnerVouchers, user: str, say: Say, assignment_id: str) -> None:
    held = [each for each in vouchers.codes.of_user(user) if each.id == assignment_id]
    for each in held:
        try:
            vouchers.redemptions.add(each.code, user, user_id=user)
        except RedemptionReverted:
            return
        say("redeemed", assignment_id)


def reserve_and_confirm(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _confirm(vouchers, user, say, _reserve(vouchers, user, say))


def reserve_and_assign(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _reserve(vouchers, user, say)
    _assign(vouchers, user, say)


def reserve_and_release(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    reservation_id = _reserve(vouchers, user, say)
    vouchers.codes.release(reservation_id)
    say("ended", reservation_id)


def reserve_only(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _reserve(vouchers, user, say)


def reserve_and_run_out(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    ttl = timedelta(milliseconds=random.Random(user).choice((1, 3, 10)))
    reservation_id = _reserve(vouchers, user, say, ttl)
    try:
        _confirm(vouchers, user, say, reservation_id)
    except ReservationExpired:
        say("ended", reservation_id)


def retire(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    assignment_id = _assign(vouchers, user, say)
    revoked = vouchers.codes.revoke(assignment_id, reason=user)
    assert (revoked.reason, revoked.restocked) == (user, False)
    say("retired", assignment_id)


def restock(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    assignment_id = _assign(vouchers, user, say)
    revoked = vouchers.codes.revoke(assignment_id, reason=user, restock=True, force=True)
    assert (revoked.reason, revoked.restocked) == (user, True)
    say("restocked", assignment_id)


def restock_unless_known(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    assignment_id = _assign(vouchers, user, say)
    try:
        vouchers.codes.revoke(assignment_id, reason=user, restock=True)
    except (CodeMayBeKnown, AlreadyRevoked):
        retire(vouchers, user, say)
    else:
        say("restocked unknown", assignment_id)


def redeem(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _redeem(vouchers, user, say, _assign(vouchers, user, say))


def redeem_and_revert(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    assignment_id = _assign(vouchers, user, say)
    _redeem(vouchers, user, say, assignment_id)
    (held,) = vouchers.codes.of_user(user)
    vouchers.redemptions.revert(held.code, user, user_id=user)
    say("reverted", assignment_id)


def redeem_and_retire(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _redeem(vouchers, user, say, _assign(vouchers, user, say))
    retire(vouchers, user, say)


def redeem_and_forget(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _redeem(vouchers, user, say, _assign(vouchers, user, say))
    vouchers.codes.forget_user(user)
    say("forgotten")


def reserve_and_forget(vouchers: PartnerVouchers, user: str, say: Say) -> None:
    _reserve(vouchers, user, say)
    vouchers.codes.forget_user(user)
    say("forgotten")


JOURNEYS: dict[Journey, set[str]] = {
    reserve_and_confirm: {"given"},
    reserve_and_assign: {"given"},
    reserve_and_release: {"ended"},
    reserve_only: {"reserved"},
    reserve_and_run_out: {"given", "ended"},
    retire: {"retired"},
    restock: {"restocked"},
    restock_unless_known: {"restocked unknown", "retired"},
    redeem: {"redeemed"},
    redeem_and_revert: {"reverted"},
    redeem_and_retire: {"retired"},
    redeem_and_forget: {"forgotten"},
    reserve_and_forget: {"forgotten"},
}
"""Each journey with the steps that it may end with."""


def journey_of(user: str) -> Journey:
    """Return the journey that a user makes."""
    return random.Random(user).choice(list(JOURNEYS))


# --- a partner's file ---

GIVEN, LEAKED = 40, 10


def codes_of_file(name: str, number: int) -> list[str]:
    """Return the codes that a list gets before its file number `number` comes."""
    return [f"{name}-{number}-{each:03}" for each in range(GIVEN + LEAKED)]


def reconcile(vouchers: PartnerVouchers, list_id: str, name: str, number: int) -> list[list[str]]:
    """Give most codes of a list out, and reconcile a file with all of them; asked again, go on with it."""
    codes = codes_of_file(name, number)
    users = [f"{name}-{number}-{each}" for each in range(GIVEN)]
    vouchers.codes.assign_many(users, list_id=list_id, idempotency_key=f"{name}-{number}")
    rows = [f"{code},{code}" for code in codes] + [f"unknown-{number},1", ",2"]
    random.Random(f"{name} {number}").shuffle(rows)
    with slices_of_rows(7):
        report = vouchers.redemptions.upload(
            "\n".join(["code,order_id", *rows]).encode(),
            list_id=list_id,
            filename=f"{number}.csv",
            uploaded_by="ops",
        )
    return [[kind.value, str(count)] for kind, count in sorted(report.counts.items())]


def require_reconciled(answer: Sequence[Sequence[str]]) -> None:
    """Check what a reconciliation was answered: a file that was begun twice has a report that knows the first one."""
    counts = Counter({kind: int(count) for kind, count in answer})
    assert counts.pop(RowKind.RECORDED.value, 0) + counts.pop(RowKind.KNOWN_ALREADY.value, 0) == GIVEN
    assert counts == {
        RowKind.NEVER_DISTRIBUTED.value: LEAKED,
        RowKind.UNKNOWN_CODE.value: 1,
        RowKind.MALFORMED.value: 1,
    }


# --- what must be so ---


def require_journeys(
    storage: Storage,
    vouchers: PartnerVouchers,
    state: ListState,
    said: Said,
    in_flight: set[str],
    entries: Sequence[OutboxEntry],
) -> None:
    """Check that what was answered is stored, and besides nothing but what was in flight."""
    assignments = {each.id: each for each in state.given} | state.revoked
    of_users = {each.user_id for each in assignments.values()} | {each.user_id for each in state.reserved}
    pseudonyms = {user for user in of_users if is_pseudonym(user)}
    steps: dict[str, set[str]] = {}
    for user, step in said:
        steps.setdefault(user, set()).add(step)
    assert of_users - pseudonyms <= steps.keys() | in_flight, "a code was given that nobody asked for"
    forgotten = {user for user, done in steps.items() if "forgotten" in done}
    assert not forgotten & of_users, "a user was not forgotten"
    assert len(pseudonyms) <= len(forgotten | in_flight)
    owners = Counter(each.user_id for each in assignments.values())
    assert all(times == 1 for times in owners.values()), "a user has two codes"
    for (user, step), facts in said.items():
        match step:
            case "given":
                held = assignments[facts[0]]
                assert held.code == facts[1], "another code than a user was told"
                assert held.user_id == user or is_pseudonym(held.user_id)
            case "reserved" | "ended":
                with storage.begin(write=False) as tx:
                    made = tx.reservations.get(facts[0])
                assert made is not None
                if step == "ended":
                    assert made.state is not ReservationState.CONFIRMED
                    assert user not in owners
                else:
                    assert made.code == facts[1], "another code than a user was told"
            case "redeemed":
                assert state.redeemed[facts[0]] == 1
            case "reverted":
                assert state.reverted[facts[0]] == 1
            case "retired":
                assert facts[0] in state.revoked.keys() - state.restocked
            case "restocked" | "restocked unknown":
                assert facts[0] in state.restocked
    _, in_all, today = vouchers.campaigns.limits(CAMPAIGN)
    taken = [each.assigned_at for each in state.given] + [each.reserved_at for each in state.reserved]
    assert in_all.used == len(taken), "a limit counts what is not there"
    assert len({each.date() for each in taken}) > 1 or today.used == in_all.used
    events = Counter(each.event.user_id for each in entries if isinstance(each.event, VoucherRewarded))
    assert not forgotten & events.keys(), "an event names a user who was forgotten"


def cancelled_events(
    state: ListState, entries: Sequence[OutboxEntry], said: Said
) -> tuple[set[str], set[str]]:
    """Return the ids of the events that need not arrive, and of those that must not."""
    unknown = {facts[0] for (_, step), facts in said.items() if step == "restocked unknown"}
    revoked = {(each.user_id, each.code): id for id, each in state.revoked.items()}
    may, must = set[str](), set[str]()
    for entry in entries:
        event = entry.event
        if isinstance(event, VoucherRewarded):
            assignment_id = revoked.get((event.user_id, event.voucher_code))
            if assignment_id is not None or is_pseudonym(event.user_id):
                may.add(entry.id)
            if assignment_id in unknown:
                must.add(entry.id)
    return may, must
