"""Bad input about the life of a code: an error of its own type, nothing changed, the same on every storage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from partner_vouchers import Limit
from partner_vouchers.domain.erasure import ErasureReport
from partner_vouchers.errors import (
    AlreadyConfirmed,
    AlreadyRedeemed,
    AlreadyRevoked,
    AmbiguousCode,
    CodeMayBeKnown,
    InvalidInput,
    NaiveDatetime,
    NotDistributed,
    NotTheirCode,
    PartnerVouchersError,
    RedemptionFileRefused,
    RedemptionReverted,
    ReservationExpired,
    ReservationReleased,
    RestockNotAllowed,
    UnknownAssignment,
    UnknownList,
    UnknownPartner,
    UnknownRedemption,
    UnknownReservation,
)
from tests.support.host import START, Host

pytestmark = pytest.mark.every_storage

MINUTE = timedelta(minutes=1)
USERS = ("ann", "ben", "cleo", "dan", "eve", "fay")
UNKNOWN_IDS = (
    "",
    "r",
    "1-nothing",
    "held-",
    "held-7777",
    "held-x",
    "x",
    "7777",
    "9" * 40,
    "9" * 400,
    "\ud800",
)

Ids = dict[str, str]
Row = tuple[str, Callable[[Any, Ids], object], type[PartnerVouchersError], str | None]


def scene(host: Host) -> Ids:
    """Return the ids of assignments and reservations in all states; each code has the name of its state."""
    vouchers = host.vouchers
    winter = host.a_list(*(f"held-{user}" for user in USERS), "released", "confirmed", "expired", "left")
    gone = host.a_list("archived", "B", partner="Amazon")
    wrong = host.a_list("withdrawn", "C")
    host.a_list("left", partner="Amazon")
    ids = {
        user: vouchers.codes.assign(list_id=winter.id, user_id=user, idempotency_key=user).id
        for user in USERS
    }
    for state in ("released", "confirmed", "expired"):
        made = vouchers.codes.reserve(list_id=winter.id, user_id=state, ttl=MINUTE)
        ids[state] = made.id
    vouchers.codes.confirm(ids["confirmed"])
    vouchers.codes.release(ids["released"])
    vouchers.codes.revoke(ids["ben"])
    vouchers.redemptions.add("held-cleo", "order-1")
    vouchers.redemptions.add("held-dan", "order-1")
    vouchers.redemptions.revert("held-dan", "order-1")
    ids["archived"] = vouchers.codes.assign(list_id=gone.id, user_id="ann").id
    vouchers.lists.archive(gone.id)
    ids["withdrawn"] = vouchers.codes.assign(list_id=wrong.id, user_id="ann").id
    (upload,) = vouchers.uploads.find(list_id=wrong.id)
    vouchers.uploads.withdraw(upload.id)
    host.clock.advance(minutes=1)
    return ids | {"list": winter.id, "gone": gone.id, "wrong": wrong.id}


def redeem(**changed: Any) -> Callable[[Any, Ids], object]:
    return lambda vouchers, _: vouchers.redemptions.add(
        **{"code": "held-ann", "order_id": "order-9", **changed}
    )


def reconcile(content: bytes, **changed: Any) -> Callable[[Any, Ids], object]:
    named = {"partner": "Puma", "filename": "used.csv", "uploaded_by": "ops", **changed}
    return lambda vouchers, _: vouchers.redemptions.upload(content, **named)


def rows() -> list[Row]:
    redemptions: list[tuple[dict[str, Any], str]] = [
        *(({"order_id": wrong}, "order_id") for wrong in ("", " ", "x" * 256)),
        ({"amount": Decimal("-0.01")}, "amount"),
        ({"redeemed_at": START + MINUTE + timedelta(days=1, microseconds=1)}, "redeemed_at"),
        *(({"code": wrong}, "code") for wrong in ("", "A\0")),
        ({"partner": ""}, "partner"),
    ]
    codes: list[Row] = [
        ("no limits", lambda v, _: v.campaigns.set_limits("CMP", [5]), InvalidInput, "limits"),
        (
            "a limit twice",
            lambda v, _: v.campaigns.set_limits("CMP", [Limit(1, per="user"), Limit(2, per="user")]),
            InvalidInput,
            "limits",
        ),
        (
            "no time to live",
            lambda v, ids: v.codes.reserve(list_id=ids["list"], user_id="gil", ttl=timedelta(0)),
            InvalidInput,
            "ttl",
        ),
        *(
            (f"{name} {unknown!a}", lambda v, _, n=name, u=unknown: getattr(v.codes, n)(u), error, None)
            for name, error in (
                ("confirm", UnknownReservation), ("release", UnknownReservation), ("revoke", UnknownAssignment)
            )
            for unknown in UNKNOWN_IDS
        ),
        ("no reason", lambda v, ids: v.codes.revoke(ids["ann"], reason=""), InvalidInput, "reason"),
        ("confirm released", lambda v, ids: v.codes.confirm(ids["released"]), ReservationReleased, None),
        ("confirm run out", lambda v, ids: v.codes.confirm(ids["expired"]), ReservationExpired, None),
        ("release confirmed", lambda v, ids: v.codes.release(ids["confirmed"]), AlreadyConfirmed, None),
        ("restock revoked", lambda v, ids: v.codes.revoke(ids["ben"], restock=True), AlreadyRevoked, None),
        ("restock known", lambda v, ids: v.codes.revoke(ids["ann"], restock=True), CodeMayBeKnown, None),
        *(
            (
                f"restock {state}",
                lambda v, ids, s=state: v.codes.revoke(ids[s], restock=True, force=True),
                RestockNotAllowed,
                None,
            )
            for state in ("cleo", "archived", "withdrawn")
        ),
        *(
            (f"reservations {len(wrong)}", lambda v, _, w=wrong: v.codes.reservations(**w), InvalidInput, "user_id")
            for wrong in ({}, {"user_id": "ann", "list_id": "1"})
        ),
        ("reservations of no list", lambda v, _: v.codes.reservations(list_id="x"), UnknownList, None),
    ]  # fmt: skip
    used: list[Row] = [
        *((f"redeem {wrong}", redeem(**wrong), InvalidInput, field) for wrong, field in redemptions),
        ("redeem without a zone", redeem(redeemed_at=datetime(2026, 11, 21)), NaiveDatetime, "redeemed_at"),  # noqa: DTZ001
        ("another order", redeem(code="held-cleo"), AlreadyRedeemed, None),
        ("reverted", redeem(code="held-dan", order_id="order-1"), RedemptionReverted, None),
        ("nobody's code", redeem(code="no such code"), NotDistributed, None),
        ("still in the pool", redeem(code="left", partner="Puma"), NotDistributed, None),
        ("another user's", redeem(user_id="ben"), NotTheirCode, None),
        ("revert nothing", lambda v, _: v.redemptions.revert("held-ann", "order-9"), UnknownRedemption, None),
        ("file without a row", reconcile(b"code\n"), RedemptionFileRefused, None),
        ("file of nobody", reconcile(b"code\nA\n", partner=None), InvalidInput, "partner"),
        ("file of an unknown partner", reconcile(b"code\nA\n", partner="Nike"), UnknownPartner, None),
        ("file of an unknown list", reconcile(b"code\nA\n", partner=None, list_id="77"), UnknownList, None),
    ]
    return codes + used


def test_each_bad_input_has_its_own_error_and_changes_nothing(host: Host) -> None:
    ids = scene(host)
    with host.nothing_changes():
        for name, call, error, field in rows():
            with pytest.raises(PartnerVouchersError) as refused:
                call(host.vouchers, ids)
            assert type(refused.value) is error, f"{name}: {refused.value!r}"
            assert getattr(refused.value, "field", None) == field, name
        assert host.vouchers.codes.forget_user("nobody") == ErasureReport()


def test_a_clock_that_goes_back_is_no_error_and_doubles_no_code(host: Host) -> None:
    found = host.a_list("A", "B", "C")
    codes = host.vouchers.codes
    reserved = codes.reserve(list_id=found.id, user_id="ann", ttl=MINUTE)
    host.clock.advance(minutes=2)
    given = codes.assign(list_id=found.id, user_id="ben")
    host.clock.advance(days=-2)
    early = codes.assign(list_id=found.id, user_id="cleo")
    assert (given.code, early.code, early.assigned_at) == ("A", "B", host.clock.now)
    with pytest.raises(ReservationExpired):
        codes.confirm(reserved.id)
    codes.revoke(early.id)
    assert host.vouchers.redemptions.add("A", "order-1").redeemed_at == host.clock.now
    assert host.left(found.id) == ["C"]


def test_a_code_of_several_lists_is_ambiguous(host: Host) -> None:
    for partner in ("Puma", "Amazon"):
        host.give(host.a_list("A", partner=partner).id, "ann")
    with host.nothing_changes(), pytest.raises(AmbiguousCode):
        host.vouchers.redemptions.add("A", "order-1")
