from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from partner_vouchers.domain.redemption import (
    Entry,
    Redemption,
    choose_entry,
    known_redemption,
    new_amount,
    new_redeemed_at,
    redemption_to_revert,
)
from partner_vouchers.errors import (
    AlreadyRedeemed,
    AmbiguousCode,
    NotDistributed,
    NotTheirCode,
    RedemptionError,
    RedemptionReverted,
    UnknownRedemption,
)
from tests.domain.examples import CODE, EXPIRY, NOW, entry, use

HELD_BY_ASHA = entry(1, 1, "held", "asha")
HELD_BY_RAVI = entry(2, 2, "held", "ravi", partner="Amazon")
HELD_IN_ARCHIVE = entry(3, 3, "held", "mina", archived=True)
AVAILABLE = entry(4, 4, "available")
REVOKED = entry(5, 5, "revoked", "asha")
REVOKED_LATER = entry(8, 8, "revoked", "asha", redemptions=(use("o"),))
REDEEMED_IN_ARCHIVE = entry(9, 9, "held", "mina", archived=True, redemptions=(use("o"),))
REVERTED_AND_REVOKED = entry(11, 11, "revoked", "asha", redemptions=(use("o", reverted=True),))


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
        # What was redeemed before it was revoked.
        ([REVOKED_LATER], {}, REVOKED_LATER),
        # The same order again is the same redemption, although the code was given again since.
        ([REDEEMED_IN_ARCHIVE, HELD_BY_ASHA], {"order_id": "o"}, REDEEMED_IN_ARCHIVE),
        ([REDEEMED_IN_ARCHIVE, HELD_BY_ASHA], {"order_id": "p"}, HELD_BY_ASHA),
        ([REVOKED_LATER, HELD_BY_ASHA], {"order_id": "o"}, REVOKED_LATER),
        ([REVERTED_AND_REVOKED], {"order_id": "o"}, REVERTED_AND_REVOKED),
        ([REVERTED_AND_REVOKED, HELD_BY_ASHA], {"order_id": "o"}, REVERTED_AND_REVOKED),
        ([REDEEMED_IN_ARCHIVE, HELD_BY_ASHA], {"order_id": "o", "user_id": "asha"}, HELD_BY_ASHA),
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
        ([REVERTED_AND_REVOKED], {"order_id": "p"}, NotDistributed),
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


@pytest.mark.parametrize("value", ["0", "9.90", "1E+3", "0.00"])
def test_an_amount_is_a_decimal(value: str) -> None:
    assert new_amount(Decimal(value)) == Decimal(value)
    assert new_amount(None) is None


@pytest.mark.parametrize(
    "redemptions, known",
    [
        ((), None),
        ((use("o1"),), use("o1")),
        ((use(None),), use(None)),
        ((use("o2", reverted=True), use("o1", number=2)), use("o1", number=2)),
        ((use("o2", reverted=True),), None),
    ],
)
def test_the_same_order_again_is_the_same_redemption(
    redemptions: tuple[Redemption, ...], known: Redemption | None
) -> None:
    assert known_redemption(CODE, entry(1, 1, "held", "asha", redemptions=redemptions), "o1") == known


@pytest.mark.parametrize(
    "redemptions, error",
    [
        ((use("o2"),), AlreadyRedeemed),
        ((use("o1", reverted=True),), RedemptionReverted),
        ((use("o1", reverted=True), use("o2", number=2)), RedemptionReverted),
        ((use("o3", reverted=True), use("o2", number=2)), AlreadyRedeemed),
    ],
)
def test_another_order_and_a_reverted_one_are_refused(
    redemptions: tuple[Redemption, ...], error: type[RedemptionError]
) -> None:
    with pytest.raises(error) as refused:
        known_redemption(CODE, entry(1, 1, "held", "asha", redemptions=redemptions), "o1")
    assert CODE not in str(refused.value)


IN_ONE = entry(1, 1, "held", "asha", redemptions=(use("o1"),))
IN_TWO = entry(2, 2, "held", "asha", partner="Amazon", redemptions=(use("o1", assignment=2),))
WITHOUT_ORDER = entry(3, 3, "held", "asha", redemptions=(use(None, assignment=3),))


@pytest.mark.parametrize(
    "entries, given, found",
    [
        ([IN_ONE], {}, "1"),
        ([IN_ONE, HELD_BY_RAVI], {}, "1"),
        ([IN_ONE, IN_TWO], {"partner": "Amazon"}, "2"),
        ([IN_ONE, IN_TWO], {"list_id": "1"}, "1"),
        ([IN_ONE], {"user_id": "asha"}, "1"),
        ([entry(1, 1, "revoked", "asha", redemptions=(use("o1", reverted=True),))], {}, "1"),
        ([IN_ONE, IN_TWO], {}, AmbiguousCode),
        ([IN_ONE], {"user_id": "ravi"}, NotTheirCode),
        ([IN_ONE], {"partner": "Amazon"}, UnknownRedemption),
        ([WITHOUT_ORDER], {}, UnknownRedemption),
        ([HELD_BY_ASHA], {}, UnknownRedemption),
        ([], {}, UnknownRedemption),
    ],
)
def test_the_redemption_to_revert_is_found_by_its_order(
    entries: list[Entry], given: dict[str, str], found: str | type[RedemptionError]
) -> None:
    if isinstance(found, str):
        assert redemption_to_revert(CODE, entries, "o1", **given).assignment_id == found
        return
    with pytest.raises(found) as refused:
        redemption_to_revert(CODE, entries, "o1", **given)
    assert CODE not in str(refused.value)


@pytest.mark.parametrize("after_expiry, late", [(0, False), (1, True)])
def test_a_redemption_is_late_after_the_expiry_of_its_list(after_expiry: int, late: bool) -> None:
    at = EXPIRY + timedelta(microseconds=after_expiry)
    used = HELD_BY_ASHA.redeemed(CODE, "o1", at, Decimal("9.90"), NOW)
    assert (used.late, used.redeemed_at, used.recorded_at) == (late, at, NOW)
    assert (used.number, used.assignment_id, used.user_id, used.amount) == (1, "1", "asha", Decimal("9.90"))
    assert CODE not in repr(used)


def test_the_events_of_a_redemption_mask_the_code() -> None:
    used = HELD_BY_ASHA.redeemed(CODE, "o1", NOW, Decimal("9.90"), NOW)
    event = used.event
    assert (event.assignment_id, event.user_id, event.list_id, event.order_id) == ("1", "asha", "1", "o1")
    assert (event.amount, event.masked_code, event.ordering_key) == ("9.90", "PM…", "user:asha")
    assert used.reverted_event.ordering_key == "user:asha"
