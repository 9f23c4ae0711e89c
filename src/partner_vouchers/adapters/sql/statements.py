"""Named SQL statements, written once for every database.

A `.sql` file contains statements. Each has a name and a description above it:

    -- list_by_id --
    -- A list that is not deleted, with its counters.
    SELECT {list_columns} FROM pv_lists AS l ...

`{list_columns}` is replaced by the text of that name. Parameters are `?`, tables begin with `pv_`, and ids come as one
JSON array through `json_each(?) AS x`, as SQLite takes them; another database renders its own form of it.
A database replaces what differs: a statement or a part of the same name in its own files wins.
"""

from __future__ import annotations

import re
from importlib import resources

_HEADER = re.compile(r"^-- (\w+) --\n(?:--.*\n)*", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


def load_statements(*packages: str) -> dict[str, str]:
    """Return the statements in the folders `statements` of packages, by name; later packages win."""
    texts: dict[str, str] = {}
    for package in packages:
        for file in resources.files(package).joinpath("statements").iterdir():
            _, *found = _HEADER.split(file.read_text(encoding="utf-8"))
            texts.update(zip(found[::2], map(str.strip, found[1::2]), strict=True))

    def whole(text: str) -> str:
        return _PART.sub(lambda part: whole(texts[part[1]]), text)

    return {name: whole(text) for name, text in texts.items()}
