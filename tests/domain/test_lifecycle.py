from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.lifecycle import STATUS_TABLE, State, Status, StatusCriteria, criteria_for
from partner_vouchers.domain.voucher_list import VoucherList
from tests.domain.examples import EXPIRY, INSTANTS, MICROSECOND, NOW, a_list

SPECIFIED = """\
| status | colour | meaning | allowed actions |
| --- | --- | --- | --- |
| Active | green | available to campaigns | pause, edit, upload codes, archive |
| Paused | orange | campaigns cannot use codes | activate, edit, upload codes, archive |
| Expired | red | its expiry has passed | edit, archive |
| Archived | gray | for the record only | none |
"""


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_is_the_specified_one() -> None:
    shown = [
        [rule.status, rule.colour, rule.meaning, ", ".join(rule.allowed) or "none"] for rule in STATUS_TABLE
    ]

    assert shown == rows_of(SPECIFIED)[2:]


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
