"""Remember where the codes of each list begin, so that codes that are gone are not read again.

A code that was taken leaves a mark in the index, until the server has cleared it away. A process that takes
codes of a list begins where it was successful last. What comes back behind that place, because a transaction
was rolled back, is found by looking from the start: every so often, and when there is nothing else.
"""

from __future__ import annotations

import time

FROM_START_EVERY = 128

_MOST = 10_000
_EMPTIED_SECONDS = 10.0


class Heads:
    """For each list the id after which codes are looked for; shared by all threads."""

    def __init__(self) -> None:
        self._heads: dict[int, int] = {}
        self._takes: dict[int, int] = {}
        self._emptied: dict[int, tuple[int, float]] = {}

    def emptied(self, number: int) -> int:
        """Return an id up to which no code of a list is left, or 0 where none is known."""
        published, until = self._emptied.get(number, (0, 0.0))
        return published if time.monotonic() < until else 0

    def set_emptied(self, number: int, published: int) -> None:
        """Remember, for a while, that no code of a list with an id up to `published` is left.

        None comes back, unless a backup is restored under a running process.
        """
        if len(self._emptied) >= _MOST:
            self._emptied.clear()
        self._emptied[number] = published, time.monotonic() + _EMPTIED_SECONDS

    def after(self, number: int, start: int) -> int:
        """Return after which id to look for codes of a list that begins at `start`."""
        takes = self._takes.get(number, 0)
        if takes >= FROM_START_EVERY:
            self._takes[number] = 0
            return start
        self._takes[number] = takes + 1
        return max(self._heads.get(number, start), start)

    def move(self, number: int, last: int) -> None:
        """Remember the last code of a list that a transaction took and committed."""
        if len(self._heads) >= _MOST:
            self._heads.clear()
            self._takes.clear()
        self._heads[number] = last

    def forget(self, number: int) -> None:
        """Look from the start again."""
        self._heads.pop(number, None)
