"""Valid codes that are probably none: what spreadsheets, programs and web pages leave behind."""

from __future__ import annotations

import re

from partner_vouchers.domain.uploads import WarningKind

EMPTY_VALUES = frozenset(("null", "nan", "none", "nil", "undefined", "n/a", "nat"))
"""How programs write that there is no value, in lower case."""

_ARTEFACT = re.compile(
    r"#{2,}"  # a column that is too narrow
    r"|#[^\W\d_][^\W\d_/0]*[^\W_]*(?:/[^\W_]+)?[!?]"  # #REF! #DIV/0! #NAME? #ЗНАЧ!
    r"|#[¡¿][^\W\d_]+[!?]"  # #¡REF! #¿NOMBRE?
    r"|#(?:N/A|N/D|N/V|NV|\u041d/\u0414|I/T|D/N|YOK|SAKNAS|HIÁNYZIK|GETTING_DATA)"
    r"|Err:\d{3}"
    r"|[+-]?\d(?:[.,]\d+)?E[+-]\d{1,3}"
    r"|<(?:NA|NULL|NIL|NONE)>|\(null\)|\\N",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?[A-Za-z][A-Za-z0-9:-]*[^<>]*>|<!(?:--|[A-Za-z])")


def suspicious(code: str) -> WarningKind | None:
    """Return why a valid code is probably none, as far as it shows by itself; None for an ordinary one.

    Example:
        >>> suspicious("#N/A"), suspicious("<html>"), suspicious("PM500FF")
        (<WarningKind.SPREADSHEET_ARTEFACT: 'spreadsheet_artefact'>, <WarningKind.MARKUP: 'markup'>, None)
    """
    if code.lower() in EMPTY_VALUES or _ARTEFACT.fullmatch(code):
        return WarningKind.SPREADSHEET_ARTEFACT
    return WarningKind.MARKUP if _MARKUP.search(code) else None
