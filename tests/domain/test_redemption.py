from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from partner_vouchers.domain.redemption import (
    Entry,
    EntryState,
    choose_entry,
    new_amount,
    new_redeemed_at,
)
from partner_vouchers.errors import (
    AmbiguousCode,
    InvalidInput,
    NaiveDatetime,
    NotDistributed,
    NotTheirCode,
    RedemptionError,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CODE = "PM500FF"


def entry(
    id: int,
    list_id: int,
    state: str,
    user_id: str | None = None,
    partner: str = "Puma",
    archived: bool = False,
) -> Entry:
    return Entry(
        id=str(id),
        list_id=str(list_id),
        partner=partner,
        archived=archived,
        state=EntryState(state),
        user_id=user_id,
    )


HELD_BY_ASHA = entry(1, 1, "held", "asha")
HELD_BY_RAVI = entry(2, 2, "held", "ravi", partner="Amazon")
HELD_IN_ARCHIVE = entry(3, 3, "held", "mina", archived=True)
AVAILABLE = entry(4, 4, "available")
REVOKED = entry(5, 5, "revoked", "asha")


@pytest.mark.parametrize(
    "entries, given, chosen",
    [
        ([HELD_BY_ASHA], {}, HELD_BY_ASHA),
        ([HELD_BY_ASHA, HELD_BY_RAVI], {"partner": "Amazon"}, HELD_BY_RAVI),
        ([HELD_BY_ASHA, HELD_BY_RAVI], {"list_id": "1"}, HELD_BY_ASHA),
        ([HELD_BY_ASHA, HELD_BY_RAVI], {"user_id": "ravi"}, HELD_BY_RAVI),
        # The only one that is held, also in an archived list.
        ([HELD_IN_ARCHIVE, AVAILABLE], {}, HELD_IN_ARCHIVE),
        # The only one in a list that is not archived.
        ([HELD_BY_ASHA, HELD_IN_ARCHIVE], {}, HELD_BY_ASHA),
        # Of one list the newest entry counts, whoever had the code before.
        ([entry(6, 6, "revoked", "asha"), entry(10, 6, "held", "ravi")], {}, entry(10, 6, "held", "ravi")),
    ],
)
def test_the_entry_of_a_code_is_chosen(entries: list[Entry], given: dict[str, str], chosen: Entry) -> None:
    assert choose_entry(CODE, entries, **given) == chosen
    assert choose_entry(CODE, entries[::-1], **given) == chosen


@pytest.mark.parametrize(
    "entries, given, error",
    [
        ([], {}, NotDistributed),
        ([AVAILABLE], {}, NotDistributed),
        ([REVOKED], {}, NotDistributed),
        ([entry(7, 7, "reserved")], {}, NotDistributed),
        ([entry(7, 7, "retired")], {}, NotDistributed),
        ([HELD_BY_ASHA], {"partner": "Amazon"}, NotDistributed),
        ([HELD_BY_ASHA], {"list_id": "9"}, NotDistributed),
        ([HELD_BY_ASHA], {"user_id": "ravi"}, NotTheirCode),
        ([entry(6, 6, "revoked", "asha"), entry(10, 6, "held", "ravi")], {"user_id": "asha"}, NotTheirCode),
        ([HELD_BY_ASHA, HELD_BY_RAVI], {}, AmbiguousCode),
        ([HELD_BY_ASHA, HELD_BY_RAVI], {"user_id": "mina"}, AmbiguousCode),
    ],
)
def test_a_redemption_is_refused(
    entries: list[Entry], given: dict[str, str], error: type[RedemptionError]
) -> None:
    with pytest.raises(error) as refused:
        choose_entry(CODE, entries, **given)
    assert CODE not in str(refused.value)


def test_the_candidates_are_named() -> None:
    with pytest.raises(AmbiguousCode) as refused:
        choose_entry(CODE, [HELD_BY_ASHA, HELD_BY_RAVI])
    assert refused.value.candidates == (("1", "Puma"), ("2", "Amazon"))


def test_a_redemption_may_be_dated_a_day_ahead() -> None:
    assert new_redeemed_at(None, NOW) == NOW
    assert new_redeemed_at(NOW + timedelta(hours=24), NOW) == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    "value, error",
    [
        (NOW + timedelta(hours=24, microseconds=1), InvalidInput),
        (datetime(2026, 11, 28), NaiveDatetime),  # noqa: DTZ001 - what is tested
        ("2026-11-28", InvalidInput),
    ],
)
def test_a_time_of_redemption_is_refused(value: object, error: type[InvalidInput]) -> None:
    with pytest.raises(error) as refused:
        new_redeemed_at(value, NOW)
    assert refused.value.field == "redeemed_at"


@pytest.mark.parametrize("value", ["0", "9.90", "1E+3", "0.00"])
def test_an_amount_is_a_decimal(value: str) -> None:
    assert new_amount(Decimal(value)) == Decimal(value)
    assert new_amount(None) is None


@pytest.mark.parametrize(
    "value",
    [
        Decimal("-0.01"),
        Decimal("-0"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+99999"),
        9.9,
        5,
        "5",
    ],
    ids=repr,
)
def test_an_amount_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_amount(value)
    assert refused.value.field == "amount"
