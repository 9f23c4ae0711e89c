"""Kinds of characters that `unicodedata` does not have.

Source of the tables: the Unicode Character Database, version 16.0, files `PropList.txt` (Quotation_Mark) and
`DerivedCoreProperties.txt` (Default_Ignorable_Code_Point). Both are the same since version 14.0.
"""

from __future__ import annotations

import unicodedata


def _ranges(table: str) -> list[tuple[str, str]]:
    bounds = [each.partition("-") for each in table.split()]
    return [(chr(int(first, 16)), chr(int(last or first, 16))) for first, _, last in bounds]


_QUOTATION_MARKS = _ranges(
    "0022 0027 00AB 00BB 2018-201F 2039-203A 2E42 300C-300F 301D-301F FE41-FE44 FF02 FF07 FF62-FF63"
)
_DEFAULT_IGNORABLE = _ranges(
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)

QUOTATION_MARKS = "".join(
    chr(number) for first, last in _QUOTATION_MARKS for number in range(ord(first), ord(last) + 1)
)
"""Quotes of every kind: the Unicode property Quotation_Mark."""

# As ranges, since a set of thousands of single characters is slow to search for.
QUOTES_AND_IGNORABLE = "".join(f"{first}-{last}" for first, last in _QUOTATION_MARKS + _DEFAULT_IGNORABLE)
"""Quotes and invisible characters (Default_Ignorable_Code_Point), as part of a set in a pattern."""

BLANK_PATTERN = "\u2800"
"""A Braille pattern without dots: visible to Unicode, but blank."""

WHITE_SPACE = "".join(
    c
    for c in map(chr, range(0x3001))
    if c in "\t\n\v\f\r\x85" or unicodedata.category(c) in ("Zs", "Zl", "Zp")
)
"""What is trimmed from both ends of a row."""
