"""Rules that all names, ids and texts share.

Each function `require_…` takes the name of the argument and its value. It returns the value as a plain string, or
raises `InvalidInput`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from partner_vouchers.errors import InvalidInput

LINE_BREAKS = frozenset("\n\r\t")
"""The control characters that a text of several lines may have."""

MAX_NAME: Final = 255
"""The length of the longest name, id, actor, file name, reason and key, in characters."""

MAX_TEXT: Final = 10_000
"""The length of the longest text of several lines, such as a description, in characters."""


def has_control_character(text: str, *, allowed: frozenset[str] = frozenset()) -> bool:
    """Return whether `text` has a character that no storage can keep safely.

    Returns:
        True for a Unicode control character (Cc, NUL among them) that is not `allowed`, and for a lone
        surrogate (Cs), which has no UTF-8 form.
    """
    if text.isprintable():
        return False
    return any(c not in allowed and unicodedata.category(c) in ("Cc", "Cs") for c in text)


def require_name(
    field: str, value: object, error: Callable[..., InvalidInput] = InvalidInput, *, most: int = MAX_NAME
) -> str:
    """Return a string on one line that is not blank and has at most `most` characters, or raise `error`."""
    text = value if type(value) is str else _require_str(field, value, error)
    # Of printable characters only the space is white.
    if 0 < len(text) <= most and text.isprintable() and not text.isspace():
        return text
    if not text.strip():
        raise error(field=field, reason="must not be empty")
    _require_length(field, text, most, error)
    if has_control_character(text):
        raise error(field=field, reason="must not contain control characters")
    return text


def require_text(field: str, value: object, *, most: int = MAX_TEXT) -> str:
    """Return a string of at most `most` characters, which may be empty and have several lines and tabs."""
    text = _require_str(field, value, InvalidInput)
    _require_length(field, text, most, InvalidInput)
    if has_control_character(text, allowed=LINE_BREAKS):
        raise InvalidInput(
            field=field, reason="must not contain control characters other than line breaks and tabs"
        )
    return text


def require_own_id(field: str, value: object) -> str:
    """Return an id that the host chose, such as that of a user or a campaign: a name, as in `require_name`."""
    return require_name(field, value if type(value) is str else require_id(field, value))


def require_id(field: str, value: object) -> str:
    """Return an id that the library gave out, which may be any string: whether it exists is for the storage to say.

    For a number, or an object that has an id, the error says what to pass.
    """
    if type(value) is str:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        raise InvalidInput(
            field=field, reason=f"must be a string, not {type(value).__name__}: pass '{value:d}'"
        )
    if hasattr(type(value), "id"):
        raise InvalidInput(field=field, reason=f"must be a string, not {type(value).__name__}: pass its id")
    return _require_str(field, value, InvalidInput)


def could_be_id(text: str) -> bool:
    """Return whether a string could be an id that the library gave out, so that a storage can be asked for it."""
    return len(text) <= MAX_NAME and not has_control_character(text)


def _require_str(field: str, value: object, error: Callable[..., InvalidInput]) -> str:
    if isinstance(value, str):
        # Drivers treat a subclass, such as a member of a StrEnum, each in its own way.
        return str.__str__(value)
    raise error(field=field, reason=f"must be a string, not {type(value).__name__}")


def _require_length(field: str, text: str, most: int, error: Callable[..., InvalidInput]) -> None:
    if len(text) > most:
        raise error(field=field, reason=f"must have at most {most:,} characters, not {len(text):,}")
