"""A voucher code is money: it is not seen whole where objects are printed or logged."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from importlib import import_module

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import partner_vouchers
from partner_vouchers.domain.assignment import BatchOutcome, Reward
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Validation
from tests.domain.examples import SECRET_CODES, an_assignment

HOLDERS: list[Callable[[str], object]] = [
    lambda code: an_assignment(code=code),
    lambda code: Reward(an_assignment(code=code)),
    lambda code: BatchOutcome((Reward(an_assignment(code=code)),)),
    lambda code: an_assignment(code=code).event,
    lambda code: RowFault(1, code, RowFaultKind.DUPLICATE_IN_FILE, "duplicate of line 1"),
    lambda code: Validation(
        filename="codes.csv", sample=(RowFault(1, f" {code} ", RowFaultKind.TOO_LONG, "too long"),)
    ),
]


@pytest.mark.parametrize("hold", HOLDERS, ids=lambda hold: type(hold("PM500FF")).__name__)
@given(code=SECRET_CODES)
def test_what_holds_a_code_is_printed_without_it(hold: Callable[[str], object], code: str) -> None:
    holder = hold(code)

    for shown in (repr(holder), str(holder), f"{holder}", f"{[holder]}", f"{holder!a}"):
        assert code not in shown
        assert ascii(code)[1:-1] not in shown


@given(code=st.text(min_size=8))
def test_at_most_two_characters_of_a_code_are_shown(code: str) -> None:
    shown, other = (repr(an_assignment(code=code[:2] + rest)) for rest in (code[2:], "something else"))

    assert shown == other


def attrs_classes() -> list[type]:
    found = set()
    for module in pkgutil.walk_packages(partner_vouchers.__path__, "partner_vouchers."):
        if not module.name.endswith("__main__"):
            found |= {
                c for c in vars(import_module(module.name)).values() if isinstance(c, type) and attrs.has(c)
            }
    return sorted(
        (c for c in found if c.__module__.startswith("partner_vouchers.")), key=lambda c: c.__qualname__
    )


def test_no_attrs_class_of_the_library_prints_a_field_that_holds_codes() -> None:
    printed = [
        f"{found.__module__}.{found.__qualname__}.{field.name}"
        for found in attrs_classes()
        for field in attrs.fields(found)
        if field.name in {"code", "codes", "voucher_code", "coupon_code", "raw"}
        and field.repr is True
        # A sequence of objects leaves the masking to them.
        and re.search(r"\bstr\b", str(field.type))
    ]

    assert printed == []
