"""Rows on their way to the server, in the text format of COPY; and the temporary tables of an import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.uploads import raw_bytes, raw_text
from partner_vouchers.domain.uploads import RowFault, RowFaultKind

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SPECIAL = "\\\t\n\r"

_PAGE = 5_000

TABLES = """
    CREATE TEMP TABLE IF NOT EXISTS partner_vouchers_staged (line integer NOT NULL, code text COLLATE "C" NOT NULL);
    CREATE TEMP TABLE IF NOT EXISTS partner_vouchers_faults (
        line integer NOT NULL, raw bytea NOT NULL, kind text NOT NULL, message text NOT NULL);
    CREATE TEMP TABLE IF NOT EXISTS partner_vouchers_refused (
        line bigint PRIMARY KEY, code text COLLATE "C" NOT NULL, held_by bigint, first bigint);
    TRUNCATE partner_vouchers_staged, partner_vouchers_faults, partner_vouchers_refused
"""
"""`refused` holds what set operations found: the row's place, its code, the list or the place that has it."""


def copy_codes(db: Session, table: str, first: int, lines: Sequence[int], codes: Sequence[str]) -> None:
    """Copy codes into a table, each with `first` and the distance of its line from the first one."""
    shift = first - lines[0]
    joined = "".join(codes)
    if any(character in joined for character in _SPECIAL):
        codes = [code.translate(_ESCAPES) for code in codes]
    block = "".join([f"{line + shift}\t{code}\n" for line, code in zip(lines, codes, strict=True)])
    db.copy(f"COPY {table} FROM STDIN", block)


def copy_faults(db: Session, faults: Iterable[RowFault]) -> None:
    """Keep refused rows with the import."""
    block = "".join(
        [
            f"{line}\t\\\\x{raw_bytes(raw).hex()}\t{kind.value}\t{text.translate(_ESCAPES)}\n"
            for line, raw, kind, text in faults
        ]
    )
    if block:
        db.copy("COPY pg_temp.partner_vouchers_faults (line, raw, kind, message) FROM STDIN", block)


def sample_of_faults(db: Session, limit: int) -> list[RowFault]:
    """Return the first refused rows, in the order of their lines."""
    sql = "SELECT line, raw, kind, message FROM pg_temp.partner_vouchers_faults ORDER BY line LIMIT %s"
    rows = db.execute(sql, (limit,)).fetchall()
    return [RowFault(line, raw_text(raw), RowFaultKind(kind), message) for line, raw, kind, message in rows]


Refused = tuple[int, str, int | None, int | None]


def pages_of_refused(db: Session) -> Iterator[list[Refused]]:
    """Yield what set operations refused, in the order of the file, page by page."""
    after = -1
    while True:
        sql = (
            "SELECT line, code, held_by, first FROM pg_temp.partner_vouchers_refused "
            "WHERE line > %s ORDER BY line LIMIT %s"
        )
        page = db.execute(sql, (after, _PAGE)).fetchall()
        if not page:
            return
        yield [(line, code, held_by, first) for line, code, held_by, first in page]
        after = page[-1][0]
