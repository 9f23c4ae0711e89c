"""What the public strategies draw is what they say."""

from __future__ import annotations

from hypothesis import given

from partner_vouchers import CodeFormat
from partner_vouchers.domain.partner import new_partner
from partner_vouchers.domain.text import require_text
from partner_vouchers.domain.voucher_list import new_tag
from partner_vouchers.testing import strategies
from partner_vouchers.testing.driver import START


@given(
    strategies.names(),
    strategies.tags(),
    strategies.descriptions(),
    strategies.codes(),
    strategies.instants(),
)
def test_strings_are_valid(name: str, tag: str, description: str, code: str, instant: object) -> None:
    assert new_partner(name, START).name == name
    assert new_tag(tag) == tag
    assert require_text("description", description) == description
    assert CodeFormat().fault(code) is None
    assert CodeFormat().trim(code) == code
    assert getattr(instant, "tzinfo", None) is START.tzinfo
