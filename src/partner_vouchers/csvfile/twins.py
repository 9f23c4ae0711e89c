"""Find codes of a file that differ from another one only by case or by Unicode normalisation."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from partner_vouchers.domain.uploads import RowWarning, WarningKind

Batches = Iterable[tuple[Sequence[int], Sequence[str]]]
"""The codes of a file with their lines, some at a time."""

# 16 MB: a slot for each of many more keys than a file has rows.
_SLOTS = 1 << 22
_GROUPS_AT_ONCE = 250_000
_KEPT_AT_ONCE = 500_000


class TwinSearch:
    """Finds twins by reading the file again, and only where the first reading shows that there may be some.

    Its memory does not grow with the file: of very many twins it takes more readings, and of more than some hundred
    thousand twins of a single code it counts the first.
    """

    def __init__(self) -> None:
        self._all_upper = self._all_lower = True

    def add(self, codes: Sequence[str]) -> None:
        """Add codes of the first reading. A file of upper-case codes in ASCII, as most are, has no twins."""
        if self._all_upper or self._all_lower:
            joined = "".join(codes)
            self._all_upper = self._all_upper and joined.isascii() and joined == joined.upper()
            self._all_lower = self._all_lower and joined.isascii() and joined == joined.lower()

    def warnings(self, read: Callable[[], Batches]) -> Iterator[RowWarning]:
        """Yield a warning for each code that has a twin; those of one kind are not in the order of their lines.

        Args:
            read: reads the codes of the file once more.
        """
        if self._all_upper or self._all_lower:
            return
        suspects = iter(_suspects(read()))
        while some := frozenset(islice(suspects, _GROUPS_AT_ONCE)):
            for group in _groups(read(), some):
                yield from _warnings(group)


def _keys(codes: Sequence[str]) -> list[str]:
    """Return what twins have in common."""
    joined = "\n".join(codes)
    if joined.isascii():
        return joined.lower().split("\n")
    folded = unicodedata.normalize("NFC", joined).casefold()
    return unicodedata.normalize("NFC", folded).split("\n")


def _suspects(batches: Batches) -> set[int]:
    """Return the hashes of keys that different codes may have in common."""
    slots = array("I", bytes(4 * _SLOTS))
    found = set[int]()
    for _, codes in batches:
        for key, code in zip(map(hash, _keys(codes)), map(hash, codes), strict=True):
            mark = code & 0xFFFFFFFF or 1
            slot = key & (_SLOTS - 1)
            if not slots[slot]:
                slots[slot] = mark
            elif slots[slot] != mark:
                found.add(key)
    return found


def _groups(batches: Batches, suspects: frozenset[int]) -> Iterator[dict[str, int]]:
    """Yield different codes with the same key, each with its first line."""
    groups: dict[str, dict[str, int]] = {}
    kept = 0
    for lines, codes in batches:
        for line, code, key in zip(lines, codes, _keys(codes), strict=True):
            if hash(key) in suspects and kept < _KEPT_AT_ONCE:
                group = groups.setdefault(key, {})
                kept += code not in group
                group.setdefault(code, line)
    return iter(groups.values())


def _warnings(group: dict[str, int]) -> Iterator[RowWarning]:
    if len(group) == 1:
        return
    normalised = {code: unicodedata.normalize("NFC", code) for code in group}
    times = Counter(normalised.values())
    for code, line in group.items():
        if times[normalised[code]] > 1:
            yield RowWarning(line, code, WarningKind.NORMALISATION_TWIN)
        if len(times) > 1:
            yield RowWarning(line, code, WarningKind.CASE_TWIN)
