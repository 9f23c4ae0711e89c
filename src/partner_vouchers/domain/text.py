"""Rules that all names and texts share."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from partner_vouchers.errors import InvalidInput

LINE_BREAKS = frozenset("\n\r\t")
"""The control characters that a text of several lines may have."""


def has_control_character(text: str, *, allowed: frozenset[str] = frozenset()) -> bool:
    """Tell whether `text` has a character that no storage can keep safely.

    Returns:
        True for a Unicode control character (Cc, NUL among them) that is not `allowed`, and for a lone
        surrogate (Cs), which has no UTF-8 form.
    """
    if text.isprintable():
        return False
    return any(c not in allowed and unicodedata.category(c) in ("Cc", "Cs") for c in text)


def require_name(field: str, value: object, error: Callable[..., InvalidInput] = InvalidInput) -> str:
    """Return `value` when it is a non-empty string on one line; raise `error` otherwise."""
    text = _require_str(field, value, error)
    if not text.strip():
        raise error(field=field, reason="must not be empty")
    if has_control_character(text):
        raise error(field=field, reason="must not hold control characters")
    return text


def require_text(field: str, value: object) -> str:
    """Return `value` when it is a string, which may be empty and may have several lines.

    Raises:
        InvalidInput: it is no string, or holds a control character other than line breaks and tabs.
    """
    text = _require_str(field, value, InvalidInput)
    if has_control_character(text, allowed=LINE_BREAKS):
        raise InvalidInput(
            field=field, reason="must not hold control characters other than line breaks and tabs"
        )
    return text


def _require_str(field: str, value: object, error: Callable[..., InvalidInput]) -> str:
    if not isinstance(value, str):
        raise error(field=field, reason=f"must be a string, not {type(value).__name__}")
    return value
