"""Rules for voucher codes, and how little of a code may be shown.

A code belongs to the partner whose system redeems it, so it is kept as it came: case-sensitive and not
normalised. Only outer white space is trimmed.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from partner_vouchers.domain.arguments import require_whole
from partner_vouchers.domain.characters import BLANK_PATTERN, QUOTES_AND_IGNORABLE, WHITE_SPACE
from partner_vouchers.domain.titles import COLUMN_TITLES
from partner_vouchers.errors import InvalidInput

_DAMAGED = "\ufffd"
# Printable characters that no code may have. All others of that kind are not printable.
_FORBIDDEN = re.compile(f"[ ,;{QUOTES_AND_IGNORABLE}{BLANK_PATTERN}{_DAMAGED}]")
_FORBIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"))

PLAIN_ALPHABET = "".join(
    c for c in string.ascii_letters + string.digits + string.punctuation if c not in ",;\"'\\"
)
"""The characters of nearly all codes. The backslash is valid too, but needs escaping in JSON."""


class CodeFault(StrEnum):
    """Why a string is not a code."""

    EMPTY = "empty"
    INVALID_CHARACTER = "invalid_character"
    TOO_LONG = "too_long"
    BAD_FORMAT = "bad_format"


class CodeRules(Protocol):
    """The rules of a valid code. A host that needs other rules than `CodeFormat` passes its own object.

    An object may also have `titles`, the column titles that are never codes; without it `COLUMN_TITLES` apply.
    """

    @property
    def max_length(self) -> int:
        """The longest valid code, in characters."""

    @property
    def plain(self) -> str:
        """ASCII characters, of which any string of 1 to `max_length` characters is a valid code.

        `trim` leaves such a string alone. Files of such codes are checked by the block instead of row by row.
        Empty where no such promise can be made; never with a quote, a backslash, a comma or a control character.
        """

    def trim(self, raw: str) -> str:
        """Return the text of a row without what does not belong to the code."""

    def fault(self, code: str) -> tuple[CodeFault, str] | None:
        """Return the fault of a trimmed code and a message for people, or None.

        The sentence must not repeat the code.
        """


def _count(titles: AbstractSet[str]) -> str:
    return f"<{len(titles)}>"


@frozen
class CodeFormat:
    """The default rules for codes.

    A code has 1 to `max_length` characters. None of them is a control character, invisible (Unicode Cc, Cf, Zl,
    Zp, Cs, Default_Ignorable_Code_Point, U+2800), white space, U+FFFD, a comma, a semicolon or a quote
    (Quotation_Mark).

    Attributes:
        max_length: the longest valid code, in characters.
        titles: column titles. A row that equals one of them is never a code; see `domain.titles`.

    Example:
        >>> CodeFormat().fault("PM500FF") is None
        True
        >>> CodeFormat().fault("PM\\u200b500")
        (<CodeFault.INVALID_CHARACTER: 'invalid_character'>, 'character 3 is U+200B ZERO WIDTH SPACE')
    """

    max_length: int = field(default=128)
    titles: AbstractSet[str] = field(default=COLUMN_TITLES, repr=_count)

    @max_length.validator
    def _check_max_length(self, _attribute: object, value: object) -> None:
        require_whole("max_length", value, 1, 10_000, "must be a number of characters from 1 to 10000")

    @titles.validator
    def _check_titles(self, _attribute: object, value: object) -> None:
        if not isinstance(value, AbstractSet) or not all(isinstance(title, str) for title in value):
            raise InvalidInput(
                field="titles", reason="must be a set of strings, such as COLUMN_TITLES | {'Kode'}"
            )

    @property
    def plain(self) -> str:
        """The characters of codes that need no closer look."""
        return PLAIN_ALPHABET

    def trim(self, raw: str) -> str:
        """Return `raw` without outer white space."""
        return raw.strip(WHITE_SPACE)

    def fault(self, code: str) -> tuple[CodeFault, str] | None:
        """Return the fault of a trimmed code and a message about it, or None for a valid code."""
        if not code:
            return CodeFault.EMPTY, "the row is empty"
        if len(code) > self.max_length:
            return CodeFault.TOO_LONG, f"the code is longer than {self.max_length} characters"
        if code.isascii() and code.isalnum():
            return None
        if code.isprintable():
            found = _FORBIDDEN.search(code)
            return _invalid_character(code, found.start()) if found else None
        for index, character in enumerate(code):
            if _FORBIDDEN.match(character) or unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
                return _invalid_character(code, index)
        return None


def unstorable(code: str) -> tuple[CodeFault, str] | None:
    """Return why no storage can keep a code, even if the host's rules allow it; None if it can be kept.

    NUL ends a string in some storages, and a lone surrogate has no form in UTF-8.
    """
    if code.isprintable():
        return None
    for index, character in enumerate(code):
        if character == "\0" or unicodedata.category(character) == "Cs":
            return _invalid_character(code, index)
    return None


def _invalid_character(code: str, index: int) -> tuple[CodeFault, str]:
    character = code[index]
    name = unicodedata.name(character, "a control character")
    return CodeFault.INVALID_CHARACTER, f"character {index + 1} is U+{ord(character):04X} {name}"


def mask(code: str) -> str:
    """Return a code as it may be shown in logs: a hint of its start, and no hint of its length.

    Example:
        >>> mask("PM500FF-2024"), mask("PM5")
        ('PM…', '…')
    """
    return f"{code[:2]}…" if len(code) >= 8 else "…"
