from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers.domain.reservation import (
    TRANSITIONS,
    Reservation,
    ReservationAction,
    ReservationState,
    new_ttl,
)
from partner_vouchers.errors import AlreadyConfirmed, ReservationExpired, ReservationReleased

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OPEN, CONFIRMED, RELEASED, EXPIRED = ReservationState
CONFIRM, RELEASE = ReservationAction


def a_reservation(state: ReservationState = OPEN, *, expires_at: datetime | None = NOW) -> Reservation:
    return Reservation(
        id="r1",
        code="PM500FF",
        code_id="7",
        user_id="user-1",
        campaign_id="CMP1",
        list_id="1",
        reserved_at=NOW - timedelta(minutes=5),
        expires_at=expires_at,
        state=state,
    )


def test_a_reservation_is_void_from_its_expiry_on() -> None:
    assert a_reservation().at(NOW - timedelta(microseconds=1)).state is OPEN
    assert a_reservation().at(NOW).state is EXPIRED
    assert a_reservation(expires_at=None).at(NOW).state is OPEN


@pytest.mark.parametrize("state", [CONFIRMED, RELEASED, EXPIRED])
def test_what_has_ended_does_not_change_with_time(state: ReservationState) -> None:
    assert a_reservation(state).at(NOW + timedelta(days=1)).state is state


@pytest.mark.parametrize(
    "state, action, after",
    [
        (OPEN, CONFIRM, CONFIRMED),
        (OPEN, RELEASE, RELEASED),
        (CONFIRMED, CONFIRM, CONFIRMED),
        (RELEASED, RELEASE, RELEASED),
        (EXPIRED, RELEASE, EXPIRED),
    ],
)
def test_an_action_leads_to_a_state(
    state: ReservationState, action: ReservationAction, after: ReservationState
) -> None:
    assert a_reservation(state).after(action, NOW - timedelta(minutes=1)).state is after


@pytest.mark.parametrize(
    "state, action, error",
    [
        (CONFIRMED, RELEASE, AlreadyConfirmed),
        (RELEASED, CONFIRM, ReservationReleased),
        (EXPIRED, CONFIRM, ReservationExpired),
    ],
)
def test_an_action_is_refused(
    state: ReservationState, action: ReservationAction, error: type[Exception]
) -> None:
    with pytest.raises(error, match="r1"):
        a_reservation(state).after(action, NOW - timedelta(minutes=1))


def test_the_table_covers_each_state_and_action() -> None:
    assert set(TRANSITIONS) == {(state, action) for state in ReservationState for action in ReservationAction}


@pytest.mark.parametrize("ttl", [timedelta(microseconds=1), timedelta(days=30)])
def test_a_time_to_live_is_at_most_30_days(ttl: timedelta) -> None:
    assert new_ttl(ttl) == ttl
