from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy, new_link
from partner_vouchers.errors import InvalidInput
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


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"campaign_id": ""}, id="no campaign"),
        pytest.param({"campaign_id": " "}, id="blank campaign"),
        pytest.param({"campaign_id": "CMP\n1"}, id="campaign of two lines"),
        pytest.param({"campaign_id": 123456}, id="campaign as a number"),
        pytest.param({"repeat": "same code"}, id="repeat as text"),
        pytest.param({"repeat": None}, id="no repeat"),
        pytest.param({"priority": 2**31}, id="priority too large"),
        pytest.param({"priority": -(2**31) - 1}, id="priority too small"),
        pytest.param({"priority": 1.0}, id="priority as a float"),
        pytest.param({"priority": True}, id="priority True"),
        pytest.param({"priority": None}, id="no priority"),
        pytest.param({"eligibility": ""}, id="empty rule name"),
        pytest.param({"eligibility": len}, id="a rule instead of its name"),
    ],
)
def test_a_link_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        link(**wrong)
    assert [refused.value.field] == list(wrong)
