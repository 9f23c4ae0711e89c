from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import _generate
from docs._generate import PAGES, PICTURES, up_to_date
from partner_vouchers import errors
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.errors import PartnerVouchersError


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == up_to_date(text), f"{page.name} is out of date; run: python docs/_generate.py"


def test_only_what_stands_between_the_marks_is_rewritten() -> None:
    page = "# Title\n<!-- generated: statuses -->\n| old |\n<!-- end of statuses -->\nby hand\n"

    drawn = up_to_date(page)

    assert drawn.startswith("# Title\n<!-- generated: statuses -->\n\n| status | colour |")
    assert drawn.endswith("|\n\n<!-- end of statuses -->\nby hand\n")
    assert "old" not in drawn


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("# Title\n", id="no mark"),
        pytest.param("<!-- generated: statuses -->\n", id="no end"),
        pytest.param("<!-- end of statuses -->\n", id="no beginning"),
        pytest.param("<!-- generated: statuses -->\n<!-- end of errors -->\n", id="another end"),
    ],
)
def test_a_page_without_its_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="a page needs pairs"):
        up_to_date(page)


def test_a_part_that_nothing_draws_is_refused() -> None:
    with pytest.raises(KeyError):
        up_to_date("<!-- generated: colours -->\n<!-- end of colours -->\n")


def test_the_table_has_every_status() -> None:
    rows = _generate.statuses().splitlines()[2:]

    assert [row.split("|")[1].strip() for row in rows] == list(Status)


def test_the_transitions_are_these() -> None:
    assert _generate.transitions().splitlines() == [
        "- Active → Paused: pause",
        "- Active → Archived: archive",
        "- Active → Expired: its expiry passes",
        "- Paused → Active: activate",
        "- Paused → Archived: archive",
        "- Paused → Expired: its expiry passes",
        "- Expired → Active: edit to a new expiry if the list was Active before",
        "- Expired → Archived: archive",
        "- Expired → Paused: edit to a new expiry if the list was Paused before",
    ]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_says_what_the_code_says(picture: Path) -> None:
    drawn = PICTURES[picture]()

    assert picture.read_text(encoding="utf-8") == drawn, (
        f"{picture.name} is out of date; run: python docs/_generate.py"
    )


def test_the_picture_of_the_storage_names_tables_that_exist() -> None:
    docs = Path(_generate.__file__).parent
    named = set(re.findall(r"pv_\w+", (docs / "images" / "storage.svg").read_text(encoding="utf-8")))
    assert len(named) == 6
    tables = (docs / "reference" / "tables.md").read_text(encoding="utf-8")
    assert {table for table in named if f"| `{table}` |" not in tables} == set()


def test_the_table_has_every_error() -> None:
    table = _generate.error_classes()

    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, PartnerVouchersError):
            assert f"| `{found.__name__}` | `{found.code}` |" in table
