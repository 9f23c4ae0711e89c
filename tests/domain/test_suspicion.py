"""Valid codes that are probably none."""

from __future__ import annotations

import pytest

from partner_vouchers.domain.suspicion import suspicious
from partner_vouchers.domain.uploads import WarningKind


@pytest.mark.parametrize(
    "code",
    [
        "#N/A", "#n/a", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#NV", "#WERT!", "#BEZUG!",
        "#ЗНАЧ!", "#¡REF!", "#¿NOMBRE?", "#N/D", "########", "##", "NULL", "null", "nan", "NaN", "None", "N/A",
        "undefined", "<NA>", "(null)", "\\N", "Err:502", "1.23E+15", "1,23E+15", "3.7E+14", "1e-05", "-1.5E+10",
    ],
)  # fmt: skip
def test_a_spreadsheet_or_a_program_left_it_behind(code: str) -> None:
    assert suspicious(code) is WarningKind.SPREADSHEET_ARTEFACT


@pytest.mark.parametrize(
    "code", ["<html>", "</body>", "<br/>", "<p>PM500", "PM500</td>", "<!DOCTYPE", "<!--"]
)
def test_it_is_markup(code: str) -> None:
    assert suspicious(code) is WarningKind.MARKUP


@pytest.mark.parametrize(
    "code",
    [
        "PM500FF",
        "#1",
        "#WINTER",
        "NULL1",
        "NANA",
        "5E10",
        "12E-4567",
        "1E23",
        "A<B",
        "<3",
        "GH-2201",
        "FF0000",
        "N-A",
    ],
)
def test_it_is_an_ordinary_code(code: str) -> None:
    assert suspicious(code) is None
