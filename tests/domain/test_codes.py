from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from partner_vouchers.domain.codes import PLAIN_ALPHABET, CodeFault, CodeFormat, CodeRules, mask, unstorable
from tests.domain.examples import SECRET_CODES

FORMAT: CodeRules = CodeFormat()

INVISIBLE: tuple[Literal["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"], ...] = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
# From the Unicode Character Database: PropList.txt and DerivedCoreProperties.txt.
QUOTES = "\"'«»‘’‚‛“”„‟‹›⹂「」『』〝〞〟﹁﹂﹃﹄＂＇｢｣"  # noqa: RUF001
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180f\u2065\u3164\ufe00\ufe0f\uffa0\ufff0\U0001bca0\U0001d173"
)
FORBIDDEN = f",;\t\u2800\ufffd\U000e0100\U000e0fff{QUOTES}{IGNORABLE}"

WHITE_SPACE = " \u00a0\u1680\u2009\u202f\u205f\u3000\u2028\u2029\t\n\v\f\r\x85"
CONTROLS = "\0\x1b\x1c\x7f\x9f"
FORMATS = "\u00ad\u200b\u200d\u202e\u2060\ufeff\U000e0041"
NEVER_TRIMMED = f"{CONTROLS}{FORMATS}\ud800\udfff,;\"'\u2019»\u3164\u034f\ufe0f\u2800\ufffd"


def fault_of(code: str, rules: CodeRules = FORMAT) -> CodeFault | None:
    found = rules.fault(code)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("PM500FF", id="letters and digits"),
        pytest.param("7", id="one character"),
        pytest.param("0000123", id="leading zeros"),
        pytest.param("PM-500_FF/2024.A+B=C", id="punctuation"),
        pytest.param("=1+1", id="formula"),
        pytest.param("50%#@!$^&*()[]{}<>?|~`:", id="more punctuation"),
        pytest.param("A\\B", id="backslash"),
        pytest.param("ЗИМА-500", id="Cyrillic"),
        pytest.param("冬季五折", id="Chinese"),
        pytest.param("A\u0301", id="combining mark"),
        pytest.param("🎁500", id="emoji"),
        pytest.param("₹500", id="currency"),
        pytest.param("GH—2201", id="dash"),
        pytest.param("\ue000", id="private use"),
        pytest.param("\u0378", id="unassigned"),
    ],
)
def test_a_code_is_valid_and_kept_as_it_came(code: str) -> None:
    assert FORMAT.trim(code) == code
    assert FORMAT.fault(code) is None


@pytest.mark.parametrize("character", WHITE_SPACE + NEVER_TRIMMED, ids=ascii)
def test_a_character_is_invalid_inside_a_code(character: str) -> None:
    code = f"AB{character}CD"

    assert FORMAT.trim(code) == code
    found = FORMAT.fault(code)
    assert found is not None
    fault, message = found
    assert fault is CodeFault.INVALID_CHARACTER
    assert message.startswith(f"character 3 is U+{ord(character):04X} ")


@pytest.mark.parametrize("character", WHITE_SPACE, ids=ascii)
def test_outer_white_space_is_trimmed(character: str) -> None:
    for raw in (f"{character}AB", f"AB{character}", f"{character * 3}AB{character} "):
        assert FORMAT.trim(raw) == "AB"
    assert FORMAT.trim(character) == ""


@pytest.mark.parametrize("character", NEVER_TRIMMED, ids=ascii)
def test_nothing_else_is_trimmed(character: str) -> None:
    for raw in (f"{character}AB", f"AB{character}"):
        assert FORMAT.trim(raw) == raw
        assert fault_of(raw) is CodeFault.INVALID_CHARACTER


@given(character=st.characters(categories=INVISIBLE) | st.sampled_from(FORBIDDEN))
def test_no_code_has_an_invisible_character_or_a_separator(character: str) -> None:
    assert fault_of(f"A{character}B") is CodeFault.INVALID_CHARACTER


@given(code=st.text(min_size=1, max_size=128))
def test_a_code_is_valid_when_all_its_characters_are(code: str) -> None:
    wrong = any(fault_of(c) for c in code)

    assert fault_of(code) is (CodeFault.INVALID_CHARACTER if wrong else None)


def test_a_blank_row_holds_no_code() -> None:
    assert fault_of("") is CodeFault.EMPTY
    assert fault_of(FORMAT.trim(" \t\u3000")) is CodeFault.EMPTY


def test_codes_are_case_sensitive_and_not_normalised() -> None:
    composed, decomposed, wide = "CAF\u00c9", "CAFE\u0301", "\uff30\uff2d500"

    kept = [FORMAT.trim(code) for code in ("pm500ff", "PM500FF", composed, decomposed, wide)]

    assert kept == ["pm500ff", "PM500FF", composed, decomposed, wide]
    assert all(FORMAT.fault(code) is None for code in kept)


@pytest.mark.parametrize("character", ["A", "Ж", "🎁"], ids=["ASCII", "two bytes", "four bytes"])
def test_a_code_has_at_most_128_characters(character: str) -> None:
    assert fault_of(character * 128) is None
    assert fault_of(character * 129) is CodeFault.TOO_LONG


def test_outer_white_space_does_not_count() -> None:
    assert fault_of(FORMAT.trim(f"   {'A' * 128}   ")) is None


def test_a_host_chooses_the_longest_code() -> None:
    short = CodeFormat(max_length=8)

    assert fault_of("A" * 8, short) is None
    assert short.fault("A" * 9) == (CodeFault.TOO_LONG, "the code is longer than 8 characters")


@given(raw=st.text())
def test_trimming_twice_is_trimming_once(raw: str) -> None:
    code = FORMAT.trim(raw)

    assert FORMAT.trim(code) == code
    assert code in raw


@given(code=st.text(PLAIN_ALPHABET, min_size=1), outer=st.text(" \t\u00a0\u3000\u2028"))
def test_what_is_trimmed_is_outer_white_space_only(code: str, outer: str) -> None:
    assert FORMAT.trim(outer + code + outer) == code


@pytest.mark.parametrize(
    "code, place",
    [("PM\n5", None), ("PM\n5\0", "character 5 is U+0000"), ("PM\n\ud800", "character 4 is U+D800")],
    ids=ascii,
)
def test_what_no_storage_can_keep_is_found_whatever_a_hosts_rules_allow(code: str, place: str | None) -> None:
    found = unstorable(code)

    assert (found is None) is (place is None)
    assert found is None or found[1].startswith(str(place))


# --- what files of plain codes rely on -------------------------------------------------------------


@given(data=st.data(), max_length=st.integers(1, 200))
def test_any_text_of_plain_characters_is_a_code_that_trimming_leaves_alone(
    data: st.DataObject, max_length: int
) -> None:
    rules = CodeFormat(max_length)
    code = data.draw(st.text(rules.plain, min_size=1, max_size=max_length))

    assert rules.fault(code) is None
    assert rules.trim(code) == code


def test_plain_characters_need_no_escape_in_csv_or_json() -> None:
    assert PLAIN_ALPHABET.isascii()
    assert PLAIN_ALPHABET.isprintable()
    assert set(" ,;\t\r\n\"'\\").isdisjoint(PLAIN_ALPHABET)
    assert len(set(PLAIN_ALPHABET)) == len(PLAIN_ALPHABET)


# --- secrecy ---------------------------------------------------------------------------------------


@given(start=SECRET_CODES, character=st.sampled_from(" ,;\u200b\0"), end=SECRET_CODES)
def test_the_sentence_about_a_wrong_code_does_not_repeat_it(start: str, character: str, end: str) -> None:
    found = CodeFormat(max_length=30).fault(f"{start}{character}{end}")

    assert found is not None
    assert set(found[1]).isdisjoint(start + end)


@pytest.mark.parametrize(
    "code,shown",
    [("", "…"), ("P", "…"), ("PM5", "…"), ("PM500FF", "…"), ("PM500FF2", "PM…"), ("PM500FF-2024", "PM…")],
)
def test_a_code_is_masked(code: str, shown: str) -> None:
    assert mask(code) == shown


@given(code=st.text(min_size=1))
def test_a_mask_never_shows_the_code_whole(code: str) -> None:
    assume("…" not in code)

    assert code not in mask(code)
    assert len(mask(code).rstrip("…")) <= 2


@given(start=st.text(min_size=2, max_size=2), one=st.text(min_size=6), other=st.text(min_size=6))
def test_a_mask_does_not_hint_at_the_length(start: str, one: str, other: str) -> None:
    assert mask(start + one) == mask(start + other)
