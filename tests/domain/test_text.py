from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.text import has_control_character, require_name, require_text
from partner_vouchers.errors import InvalidInput, InvalidTag

UNSAFE = [
    pytest.param("\0", id="NUL"),
    pytest.param("\x1b", id="escape"),
    pytest.param("\x7f", id="delete"),
    pytest.param("\x85", id="next line"),
    pytest.param("\ud800", id="lone surrogate"),
]


@pytest.mark.parametrize("character", UNSAFE)
def test_what_no_storage_can_keep_is_refused_in_names_and_texts(character: str) -> None:
    for require in (require_name, require_text):
        with pytest.raises(InvalidInput, match="control characters") as refused:
            require("name", f"Winter{character}Sale")
        assert refused.value.field == "name"


@pytest.mark.parametrize("character", ["\n", "\r", "\t"], ids=["line feed", "carriage return", "tab"])
def test_a_text_may_have_lines_and_tabs_and_a_name_may_not(character: str) -> None:
    text = f"first{character}second"

    assert require_text("description", text) == text
    with pytest.raises(InvalidInput):
        require_name("name", text)


@pytest.mark.parametrize(
    "blank", ["", " ", "\u3000", "\u2028 "], ids=["none", "space", "ideographic", "separator"]
)
def test_a_name_is_not_blank_and_a_text_may_be(blank: str) -> None:
    with pytest.raises(InvalidInput, match="must not be empty"):
        require_name("name", blank)
    assert require_text("description", blank) == blank


@pytest.mark.parametrize("value", [None, 5, b"Winter", ["Winter"]], ids=["None", "number", "bytes", "list"])
def test_only_strings_are_texts(value: object) -> None:
    with pytest.raises(InvalidInput, match=f"must be a string, not {type(value).__name__}"):
        require_name("name", value)
    with pytest.raises(InvalidInput, match=f"must be a string, not {type(value).__name__}"):
        require_text("description", value)


def test_the_error_is_of_the_kind_that_the_caller_names() -> None:
    with pytest.raises(InvalidTag):
        require_name("tag", "", InvalidTag)


@given(text=st.text())
def test_control_characters_are_those_of_unicode_and_lone_surrogates(text: str) -> None:
    expected = any(unicodedata.category(character) in ("Cc", "Cs") for character in text)

    assert has_control_character(text) is expected


@given(text=st.text())
def test_a_valid_text_is_kept_as_it_is(text: str) -> None:
    try:
        assert require_text("description", text) == text
    except InvalidInput:
        assert has_control_character(text)
    else:
        text.encode()  # every storage can keep it
