from __future__ import annotations

import pytest
from hypothesis import given

from partner_vouchers.domain.partner import Partner, new_partner
from partner_vouchers.errors import InvalidInput, InvalidPartnerName
from tests.domain.examples import NAMES, NOW


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Puma", id="plain"),
        pytest.param("H&M, Ltd. (EU) <b>", id="special characters"),
        pytest.param("Big Bazaar  2", id="inner spaces"),
        pytest.param(" Puma ", id="outer spaces, kept"),
        pytest.param("मिठाई 🍬", id="not ASCII"),
        pytest.param("क्‍ष", id="joiner"),
    ],
)
def test_any_text_is_a_partner_name(name: str) -> None:
    assert new_partner(name, NOW) == Partner(name, NOW)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param(" \u3000", id="blank"),
        pytest.param("Pu\nma", id="line break"),
        pytest.param("Pu\tma", id="tab"),
        pytest.param("Pu\0ma", id="NUL"),
        pytest.param("Pu\ud83dma", id="lone surrogate"),
        pytest.param(None, id="None"),
        pytest.param(7, id="number"),
    ],
)
def test_a_partner_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidPartnerName) as refused:
        new_partner(name, NOW)
    assert refused.value.field == "name"
    assert isinstance(refused.value, InvalidInput)


def test_names_are_case_sensitive() -> None:
    assert new_partner("clevertap", NOW) != new_partner("CLEVERTAP", NOW)


@given(name=NAMES)
def test_a_name_is_neither_trimmed_nor_normalised(name: str) -> None:
    assert new_partner(name, NOW).name == name
