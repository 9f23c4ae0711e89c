"""Errors as people read them, at the command line and on the page: no word of the library's functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers import errors
from partner_vouchers.cli.wording import message_of
from partner_vouchers.errors import LinkedContentError, PartnerVouchersError
from partner_vouchers.page.wording import explain

PYTHON = re.compile(
    r"\b(?:partners|lists|uploads|campaigns|codes|redemptions|events)\.[a-z]|\w\(|\w=|True|None"
)
# In the order in which a type is recognised.
VALUES = {
    "tuple[tuple": (("1", "exhausted"),),
    "tuple": ("1",),
    "datetime": datetime(2026, 11, 28, tzinfo=UTC),
    "timedelta": timedelta(minutes=15),
    "int": 3,
    "float": 2.5,
}
# About messages and other services: neither surface calls them.
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, PartnerVouchersError)
    and not issubclass(kind, LinkedContentError)
]


def made(kind: type[PartnerVouchersError]) -> PartnerVouchersError:
    values: dict[str, object] = {}
    for each in kind.__mro__:
        for name, annotation in vars(each).get("__annotations__", {}).items():
            values.setdefault(name, next((VALUES[word] for word in VALUES if word in annotation), "word"))
    for name in ("code", "template"):
        values.pop(name, None)
    return kind(**values)


@pytest.mark.parametrize("words", [explain, message_of])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_people_read_names_no_function(
    kind: type[PartnerVouchersError], words: Callable[[PartnerVouchersError], str]
) -> None:
    text = words(made(kind))
    assert text
    assert not PYTHON.search(text), text
