"""Keys of events that were deferred under another key than they have now."""

from __future__ import annotations

import pytest

from partner_vouchers.domain.delivery import Deferred
from partner_vouchers.usecases.delivery.run import _with_key


@pytest.mark.parametrize(
    "former, present, reason",
    [
        ("user:ann", "user:xyz", "500: xyz is unknown"),
        ("unreadable:5", "user:ben", "500: ann is unknown"),
        ("user:ann", "user:ann", "500: ann is unknown"),
    ],
)
def test_a_reason_loses_only_the_id_of_a_user_who_was_forgotten(
    former: str, present: str, reason: str
) -> None:
    row = _with_key(Deferred(5, "event-5", former, reason="500: ann is unknown"), present)
    assert (row.key, row.reason) == (present, reason)
