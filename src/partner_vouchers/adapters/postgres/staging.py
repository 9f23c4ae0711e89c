"""The temporary tables of an import: its codes, and the rows that were refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from partner_vouchers.adapters.postgres.driver import Copy, Session
from partner_vouchers.adapters.sql.rows import raw_bytes, raw_text
from partner_vouchers.domain.uploads import RowFault, RowFaultKind

STAGED = "pg_temp.partner_vouchers_staged"
FAULTS = "pg_temp.partner_vouchers_faults"
REFUSED = "pg_temp.partner_vouchers_refused"

COPY_CODES = f"COPY {STAGED} FROM STDIN"

_COLUMNS = {
    STAGED: 'line integer NOT NULL, code text COLLATE "C" NOT NULL',
    FAULTS: "line integer NOT NULL, raw bytea NOT NULL, kind text NOT NULL, message text NOT NULL",
    # Result of the set operations: the list that holds the code, or the earlier line with the same code.
    REFUSED: 'line integer NOT NULL, code text COLLATE "C" NOT NULL, held_by bigint, first integer',
}

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_PAGE = 5_000

Refused = tuple[int, str, int | None, int | None]


class Staging:
    """Which of the temporary tables there are; they are made when they are needed.

    Attributes:
        codes: how many codes were added.
        last_line: the highest line among them.
    """

    def __init__(self) -> None:
        self._made: list[str] = []
        self.codes: int = 0
        self.last_line: int = 0

    def make(self, db: Session, table: str) -> None:
        """Make a table, unless it is there."""
        if table not in self._made:
            db.run(f"CREATE TEMP TABLE {table.partition('.')[2]} ({_COLUMNS[table]})")
            self._made.append(table)

    def has(self, table: str) -> bool:
        """Tell whether a table was made."""
        return table in self._made

    def drop(self, db: Session) -> None:
        """Drop what was made, also where the transaction that made a table was rolled back."""
        if self._made:
            db.run(f"DROP TABLE IF EXISTS {', '.join(self._made)}")
            self._made.clear()

    def add(self, copy: Copy, lines: Sequence[int], codes: Sequence[str]) -> None:
        """Add codes and their lines to what `COPY_CODES` copies."""
        joined = "".join(codes)
        if any(character in joined for character in "\\\t\n\r"):
            codes = [code.translate(_ESCAPES) for code in codes]
        block = "".join([f"{line}\t{code}\n" for line, code in zip(lines, codes, strict=True)])
        copy.write(block)
        self.codes += len(codes)
        self.last_line = max(self.last_line, *lines)

    def keep(self, db: Session, faults: Sequence[RowFault]) -> None:
        """Keep refused rows."""
        self.make(db, FAULTS)
        rows = [
            f"{line}\t\\\\x{raw_bytes(raw).hex()}\t{kind.value}\t{message.translate(_ESCAPES)}\n"
            for line, raw, kind, message in faults
        ]
        copy = db.begin_copy(f"COPY {FAULTS} FROM STDIN")
        copy.write("".join(rows))
        copy.end()

    def sample(self, db: Session, limit: int) -> list[RowFault]:
        if not self.has(FAULTS):
            return []
        sql = f"SELECT line, raw, kind, message FROM {FAULTS} ORDER BY line LIMIT %s"
        rows = db.execute(sql, (limit,)).fetchall()
        return [
            RowFault(line, raw_text(raw), RowFaultKind(kind), message) for line, raw, kind, message in rows
        ]

    def found(self, db: Session) -> Iterator[list[Refused]]:
        """Yield what set operations refused, in the order of the file, page by page."""
        if not self.has(REFUSED):
            return
        db.run(f"CREATE INDEX ON {REFUSED} (line)")
        after = 0
        while True:
            sql = f"SELECT line, code, held_by, first FROM {REFUSED} WHERE line > %s ORDER BY line LIMIT %s"
            page = db.execute(sql, (after, _PAGE)).fetchall()
            if not page:
                return
            yield [(line, code, held_by, first) for line, code, held_by, first in page]
            after = page[-1][0]
