from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.lifecycle import (
    STATUS_TABLE,
    Action,
    State,
    Status,
    StatusCriteria,
    criteria_for,
    require_allowed,
)
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import ActionNotAllowed
from tests.domain.examples import EXPIRY, INSTANTS, MICROSECOND, NOW, a_list, a_list_that_is

SPECIFIED = """\
| status | colour | meaning | allowed actions |
| --- | --- | --- | --- |
| Active | green | available to campaigns | pause, edit, upload codes, archive |
| Paused | orange | campaigns cannot use codes | activate, edit, upload codes, archive |
| Expired | red | its expiry has passed | edit, archive |
| Archived | gray | for the record only | none |
"""

DO: dict[Action, Callable[[VoucherList], object]] = {
    Action.PAUSE: lambda found: found.pause(NOW),
    Action.ACTIVATE: lambda found: found.activate(NOW),
    Action.EDIT: lambda found: found.edit(NOW, name="Spring Sale"),
    Action.UPLOAD: lambda found: found.require_allowed(Action.UPLOAD, NOW),
    Action.ARCHIVE: lambda found: found.archive(NOW),
}


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_is_the_specified_one() -> None:
    shown = [
        [rule.status, rule.colour, rule.meaning, ", ".join(rule.allowed) or "none"] for rule in STATUS_TABLE
    ]

    assert shown == rows_of(SPECIFIED)[2:]


@pytest.mark.parametrize("status,action", list(product(Status, Action)), ids=str)
def test_a_status_allows_its_actions_and_no_others(status: Status, action: Action) -> None:
    allowed = {row[0]: row[3] for row in rows_of(SPECIFIED)[2:]}[status]
    found = a_list_that_is(status)
    before = deepcopy(found)

    if action.value in allowed.split(", "):
        DO[action](found)
    else:
        with pytest.raises(ActionNotAllowed) as refused:
            DO[action](found)
        assert refused.value.list_id == found.id
        assert refused.value.status == status.value
        assert refused.value.action == action.value
        assert (", ".join(refused.value.allowed) or "none") == allowed
        assert [type(name) for name in refused.value.allowed] == [str] * len(refused.value.allowed)
    assert found == before


def test_the_error_says_what_is_allowed() -> None:
    with pytest.raises(
        ActionNotAllowed, match="list 7 is Expired: pause is not allowed; allowed: edit, archive"
    ):
        require_allowed("7", Status.EXPIRED, Action.PAUSE)
    with pytest.raises(ActionNotAllowed, match="allowed: nothing"):
        require_allowed("7", Status.ARCHIVED, Action.EDIT)


@pytest.mark.parametrize(
    "state,until,afterwards",
    [
        (State.ACTIVE, Status.ACTIVE, Status.EXPIRED),
        (State.PAUSED, Status.PAUSED, Status.EXPIRED),
        (State.ARCHIVED, Status.ARCHIVED, Status.ARCHIVED),
    ],
    ids=str,
)
def test_a_list_expires_by_itself_a_microsecond_after_its_expiry(
    state: State, until: Status, afterwards: Status
) -> None:
    found = a_list(state=state)

    assert found.status_at(EXPIRY - MICROSECOND) is until
    assert found.status_at(EXPIRY) is until
    assert found.status_at(EXPIRY + MICROSECOND) is afterwards
    assert found.status_at(EXPIRY + timedelta(days=36500)) is afterwards


@pytest.mark.parametrize("before", [State.ACTIVE, State.PAUSED], ids=str)
def test_an_expired_list_that_is_extended_returns_to_what_it_was(before: State) -> None:
    found = a_list(state=before, expires_at=NOW - MICROSECOND)
    assert found.status_at(NOW) is Status.EXPIRED

    extended, _ = found.edit(NOW, expires_at=EXPIRY)

    assert extended.status_at(NOW).value == before.value


def test_a_paused_list_that_expired_is_extended_before_it_is_activated() -> None:
    found = a_list(state=State.PAUSED, expires_at=NOW - MICROSECOND)
    with pytest.raises(ActionNotAllowed):
        found.activate(NOW)

    extended, _ = found.edit(NOW, expires_at=EXPIRY)
    activated, _ = extended.activate(NOW)

    assert activated.status_at(NOW) is Status.ACTIVE


def finds(criteria: StatusCriteria, found: VoucherList) -> bool:
    """Look for a list as a storage would."""
    has_expired = found.expires_at < criteria.now
    return found.state in criteria.states and criteria.expired in (None, has_expired)


@given(
    expires_at=INSTANTS,
    after=st.sampled_from([-MICROSECOND, timedelta(0), MICROSECOND]) | st.timedeltas(),
)
def test_a_storage_that_obeys_the_criteria_finds_the_lists_with_the_status(
    expires_at: datetime, after: timedelta
) -> None:
    try:
        now = expires_at + after
    except OverflowError:
        now = expires_at
    for state, wanted in product(State, Status):
        found = a_list(state=state, expires_at=expires_at)

        assert finds(criteria_for(wanted, now), found) is (found.status_at(now) is wanted)
