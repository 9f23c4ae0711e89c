from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy, new_link
from tests.domain.examples import NOW


def link(**changed: Any) -> CampaignLink:
    fields: dict[str, Any] = {
        "list_id": "1837",
        "campaign_id": "CMP123456",
        "repeat": RepeatPolicy.SAME_CODE,
        "priority": 0,
        "eligibility": None,
        "now": NOW,
    }
    return new_link(**{**fields, **changed})


@pytest.mark.parametrize("priority", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_a_priority_is_a_whole_number(priority: int) -> None:
    assert link(priority=priority).priority == priority
