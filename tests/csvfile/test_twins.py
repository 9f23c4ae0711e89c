"""Codes that differ from another one of the file only by case or by Unicode normalisation."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.csvfile import twins
from partner_vouchers.csvfile.twins import TwinSearch

CASE, NORMALISATION = "case_twin", "normalisation_twin"


def found(codes: Sequence[str]) -> list[tuple[int, str, str]]:
    parts = [
        (range(start + 1, start + 1 + len(codes[start : start + 3])), codes[start : start + 3])
        for start in range(0, len(codes), 3)
    ]
    search = TwinSearch()
    for _, some in parts:
        search.add(some)
    return sorted((each.line, each.code, each.kind.value) for each in search.warnings(lambda: parts))


@pytest.mark.parametrize(
    "codes,expected",
    [
        (["AB", "CD", "ab"], [(1, "AB", CASE), (3, "ab", CASE)]),
        (["aB", "Ab", "aB"], [(1, "aB", CASE), (2, "Ab", CASE)]),
        (["\u00c9", "X", "E\u0301"], [(1, "\u00c9", NORMALISATION), (3, "E\u0301", NORMALISATION)]),
        (["\u00c9", "e\u0301"], [(1, "\u00c9", CASE), (2, "e\u0301", CASE)]),
        (["Straße", "STRASSE"], [(1, "Straße", CASE), (2, "STRASSE", CASE)]),
        (["AB", "AB", "ab1"], []),
        (["ﬁ", "fi"], [(1, "ﬁ", CASE), (2, "fi", CASE)]),
        ([], []),
    ],
)
def test_twins(codes: list[str], expected: list[tuple[int, str, str]]) -> None:
    assert found(codes) == expected


def test_codes_of_one_case_need_no_second_reading() -> None:
    for codes in (["AB1", "CD2"], ["ab1", "cd2"]):
        search = TwinSearch()
        search.add(codes)
        assert list(search.warnings(lambda: pytest.fail("read again"))) == []


@given(st.lists(st.text("aAbBeE\u0301\u00e9\u00c9ß", min_size=1, max_size=3)))
def test_all_twins_are_found_and_nothing_else(codes: list[str]) -> None:
    def key(code: str) -> str:
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", code).casefold())

    different = dict.fromkeys(codes)
    forms = {code: unicodedata.normalize("NFC", code) for code in different}
    groups = Counter(map(key, different))
    with_case = {k: len({forms[code] for code in different if key(code) == k}) > 1 for k in groups}
    same_form = Counter(forms.values())
    expected = [
        (codes.index(code) + 1, code, kind)
        for code in different
        for kind, is_twin in ((CASE, with_case[key(code)]), (NORMALISATION, same_form[forms[code]] > 1))
        if is_twin
    ]
    assert found(codes) == sorted(expected)


def test_very_many_twins_take_more_readings_instead_of_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "_GROUPS_AT_ONCE", 10)
    codes = [f"{letter}{number}" for number in range(50) for letter in "aA"]
    assert len(found(codes)) == 100
