from __future__ import annotations

from hypothesis import given

from partner_vouchers.domain.partner import new_partner
from tests.domain.examples import NAMES, NOW


@given(name=NAMES)
def test_a_name_is_neither_trimmed_nor_normalised(name: str) -> None:
    assert new_partner(name, NOW).name == name
