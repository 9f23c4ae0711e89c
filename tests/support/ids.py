"""Names of examples that are the same in every process, which pytest-xdist needs to share tests out."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """Return the repr of a value without the addresses in it."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
