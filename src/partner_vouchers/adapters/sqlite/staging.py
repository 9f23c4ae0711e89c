"""The temporary tables of an import: its codes as they were read, its codes in order, and its refused rows."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

from partner_vouchers.adapters.sqlite.connections import Connection
from partner_vouchers.domain.uploads import MAX_KEPT_FAULTS, RowFault, RowFaultKind

_SPARSE = 4
_CHUNK = 2_000
_kind = attrgetter("kind")

_TABLES = (
    # JSON, thousands of codes in each row. To take it apart where it is read costs less than to store a row for each
    # code, which would have to be read, too.
    "CREATE TEMP TABLE staged (first INTEGER PRIMARY KEY, codes TEXT NOT NULL)",
    "CREATE TEMP TABLE dropped (line INTEGER PRIMARY KEY)",
    """
    CREATE TEMP TABLE faults (
        line INTEGER PRIMARY KEY, raw TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL
    )
    """,
)

# In the order of the lines, without a sorter. The chunk where the slice before ended comes first.
_APPEND = """
    INSERT INTO pv_codes SELECT ?1 + first + key, value FROM staged CROSS JOIN json_each(codes)
    WHERE first >= (SELECT coalesce(max(first), 0) FROM staged WHERE first <= ?2) AND first + key > ?2
        AND value <> '' {}
    LIMIT ?3
"""
_NOT_DROPPED = "AND first + key NOT IN (SELECT line FROM dropped)"

SAVE_FAULTS = """
    INSERT INTO pv_upload_faults SELECT ?1 + line, raw, kind, message FROM faults WHERE line > ?2
    ORDER BY line LIMIT ?3
"""
"""Copies refused rows after a line."""


class Staging:
    """The temporary tables on a connection of their own, which block no other one.

    `staged` has the codes as they were read; `ordered` has them in their order, each once; `dropped` has the lines of
    those that were refused since; `faults` has the refused rows.

    Attributes:
        connection: the connection.
        last_line: the line of the last code.
        left: how many codes were not refused.
        refused: how many rows were refused, by kind.
        has_repeats: whether the file has a code twice. `repeats` has such codes, with both lines.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection = connection
        self.last_line: int = 0
        self.left: int = 0
        self.refused: Counter[RowFaultKind] = Counter()
        self.has_repeats: bool = False
        self._kept = 0
        # Long runs are written once and read once: large pages, and little memory.
        connection.execute("PRAGMA temp.page_size = 8192")
        connection.execute("PRAGMA temp.cache_size = -3000")
        # The sorter uses another processor, if there is one.
        connection.execute("PRAGMA threads = 1")
        for table in _TABLES:
            connection.execute(table)

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        """Add codes, which follow those before."""
        if not codes:
            return
        self.left += len(codes)
        self.last_line = lines[-1]
        for start in range(0, len(codes), _CHUNK):
            self._stage(lines[start : start + _CHUNK], codes[start : start + _CHUNK])

    def _stage(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        first, span = lines[0], lines[-1] - lines[0] + 1
        places: Sequence[str] | dict[int, str] = codes
        if span > _SPARSE * len(codes):
            places = {line - first: code for line, code in zip(lines, codes, strict=True)}
        elif span > len(codes):
            # A refused row leaves a gap. Filled with an empty text, which no code is, the place of a code
            # in the array still tells its line.
            places = dense = [""] * span
            for line, code in zip(lines, codes, strict=True):
                dense[line - first] = code
        staged = json.dumps(places, ensure_ascii=False)
        self.connection.execute("INSERT INTO staged VALUES (?, ?)", (first, staged))

    def refuse(self, faults: Sequence[RowFault]) -> None:
        """Add rows that were refused."""
        self.refused.update(map(_kind, faults))
        room = MAX_KEPT_FAULTS - self._kept
        kept = faults if len(faults) <= room else faults[: max(room, 0)]
        self._kept += len(kept)
        # Without a transaction each row is one; beside an open query that costs 90 µs.
        self.connection.execute("BEGIN")
        try:
            self.connection.executemany(
                "INSERT INTO faults VALUES (?, ?, ?, ?)",
                [(line, raw, kind.value, text) for line, raw, kind, text in kept],
            )
        finally:
            self.connection.execute("COMMIT")

    def sample(self, limit: int) -> list[RowFault]:
        """Return the first refused rows."""
        rows = self.connection.execute(
            "SELECT line, raw, kind, message FROM faults ORDER BY line LIMIT ?", (limit,)
        )
        return [RowFault(line, raw, RowFaultKind(kind), message) for line, raw, kind, message in rows]

    def sort(self) -> None:
        """Put the codes in order, and those that an earlier line has aside: no claim need be tried for them."""
        own = self.connection
        own.execute("CREATE TEMP TABLE ordered (code TEXT NOT NULL, line INTEGER NOT NULL)")
        own.execute(
            "INSERT INTO ordered SELECT value, first + key FROM staged CROSS JOIN json_each(codes) "
            "WHERE value <> '' ORDER BY 1, 2"
        )
        own.execute(
            "CREATE TEMP TABLE repeats AS "
            "SELECT b.rowid AS place, b.line, b.code, min(a.line) OVER (PARTITION BY b.code) AS first "
            "FROM ordered AS a CROSS JOIN ordered AS b WHERE b.rowid = a.rowid + 1 AND b.code = a.code"
        )
        own.execute("INSERT INTO dropped SELECT line FROM repeats ORDER BY line")
        repeats = own.execute("DELETE FROM ordered WHERE rowid IN (SELECT place FROM repeats)").rowcount
        self.left -= repeats
        self.has_repeats = repeats > 0

    def drop(self, refused: Sequence[RowFault]) -> None:
        """Refuse codes that were staged."""
        self.refuse(refused)
        self.left -= len(refused)
        lines = json.dumps([fault.line for fault in refused])
        self.connection.execute("INSERT INTO dropped SELECT value FROM json_each(?)", (lines,))

    def beyond(self, room: int) -> tuple[int, sqlite3.Cursor]:
        """Return the line of the first code that follows so many others, and lines and codes from there on."""
        # From the staged codes, which are in the order of their lines: `ordered` would have to be sorted once more.
        kept = f"FROM staged CROSS JOIN json_each(codes) WHERE value <> '' {_NOT_DROPPED}"
        # Found once, since a storage counts through all rows before it.
        (line,) = self.connection.execute(f"SELECT first + key {kept} LIMIT 1 OFFSET ?", (room,)).fetchone()
        rows = self.connection.execute(
            f"SELECT first + key, value {kept} AND first + key >= ?1 "
            "AND first >= (SELECT coalesce(max(first), 0) FROM staged WHERE first <= ?1)",
            (line,),
        )
        return line, rows

    def append_statement(self) -> str:
        """Return the statement that copies codes after a line into the log of codes."""
        (has_dropped,) = self.connection.execute("SELECT EXISTS (SELECT 1 FROM dropped)").fetchone()
        return _APPEND.format(_NOT_DROPPED if has_dropped else "")
