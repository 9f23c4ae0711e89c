from __future__ import annotations

import pytest
from hypothesis import given

from partner_vouchers.domain.partner import new_partner
from partner_vouchers.errors import InvalidInput, InvalidPartnerName
from tests.domain.examples import NAMES, NOW


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("Pu\nma", id="line break"),
        pytest.param(7, id="number"),
    ],
)
def test_a_partner_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidPartnerName) as refused:
        new_partner(name, NOW)
    assert refused.value.field == "name"
    assert isinstance(refused.value, InvalidInput)


@given(name=NAMES)
def test_a_name_is_neither_trimmed_nor_normalised(name: str) -> None:
    assert new_partner(name, NOW).name == name
