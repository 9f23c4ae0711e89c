"""Import the codes of an upload into PostgreSQL: copied in place, out of reach, then checked by set operations.

The codes are copied to where they will be taken from, at ids beyond `pv_stock.published`, so nobody can take
them. One sorted pass enters them into the index of their scope; the server's own constraint says which are
refused. To publish is to move `published`. Nobody who assigns codes waits for any of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

import psycopg

from partner_vouchers.adapters.postgres.connections import Connections, Loan
from partner_vouchers.adapters.postgres.contexts import OwnConnectionContext
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.errors import translated
from partner_vouchers.adapters.postgres.presence import backend_of, is_dead
from partner_vouchers.adapters.postgres.reclaim import delete_unpublished
from partner_vouchers.adapters.postgres.rows import POSITION_BITS, first_code_id, to_list_number, to_number
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.adapters.postgres.staging import (
    TABLES,
    copy_codes,
    copy_faults,
    pages_of_refused,
    sample_of_faults,
)
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import CAPACITY
from partner_vouchers.domain.uploads import MAX_KEPT_FAULTS, RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError, UnknownList, UploadInterrupted
from partner_vouchers.ports import Judge, Transaction

Full = Callable[[], tuple[RowFaultKind, str]]
KeepAlive = Callable[[Transaction], None]

_WORK_MEMORY = "64MB"
_LAST = 2**62

# Whether somebody has the code of an entry: of a list that counts, given out, or to be taken, or of an upload that
# another connection is bringing in.
_IS_HELD = f"""
    CASE WHEN NOT EXISTS (
        SELECT 1 FROM pv_lists AS l WHERE l.id = a.code_id >> {POSITION_BITS} AND l.removed = 0 AND l.state = ANY (%s)
    ) THEN false
    WHEN EXISTS (SELECT 1 FROM pv_assignments AS g WHERE g.code_id = a.code_id) THEN true
    ELSE EXISTS (
        SELECT 1 FROM pv_codes AS h JOIN pv_stock AS s ON s.list_id = h.id >> {POSITION_BITS}
        WHERE h.id = a.code_id AND (h.id <= s.published OR EXISTS (
            SELECT 1 FROM pv_uploads AS u
            WHERE u.list_id = s.list_id AND u.status = 'In Progress' AND h.id BETWEEN u.first_code AND u.last_code
              AND u.importer IS NOT NULL AND NOT {is_dead("u.importer")})))
    END
"""

_CHECK = f"""
    INSERT INTO pg_temp.partner_vouchers_refused (line, code, held_by, first)
    SELECT line, code, held_by, first FROM (
        SELECT s.line, s.code, min(s.line) OVER (PARTITION BY s.code) AS first, a.held_by
        FROM pg_temp.partner_vouchers_staged AS s LEFT JOIN LATERAL (
            SELECT a.code_id >> {POSITION_BITS} AS held_by FROM pv_active_codes AS a
            WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = s.code AND {_IS_HELD}
        ) AS a ON true
    ) AS found WHERE held_by IS NOT NULL OR line <> first
"""

_CLAIM = """
    INSERT INTO pv_active_codes (scope_id, code, code_id)
    SELECT (SELECT id FROM pv_scopes WHERE key = %s), c.code, c.id FROM pv_codes AS c WHERE c.id BETWEEN %s AND %s
    ORDER BY c.code, c.id
    ON CONFLICT (scope_id, code) DO NOTHING
"""

# Of the refused rows: `held_by` is the list of a code that somebody has, `first` the entry that keeps it otherwise.
_FIND_CONFLICTS = f"""
    INSERT INTO pg_temp.partner_vouchers_refused (line, code, held_by, first)
    SELECT c.id, c.code,
           CASE WHEN a.code_id BETWEEN %s AND %s THEN NULL
                WHEN {_IS_HELD} THEN a.code_id >> {POSITION_BITS} END,
           a.code_id
    FROM pv_codes AS c
    JOIN pv_active_codes AS a ON a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = c.code
    WHERE c.id BETWEEN %s AND %s AND a.code_id <> c.id
"""
_TAKE_OVER = """
    WITH freed AS (
        SELECT DISTINCT ON (code) code, line AS id, first AS former FROM pg_temp.partner_vouchers_refused
        WHERE held_by IS NULL AND first NOT BETWEEN %s AND %s ORDER BY code, line
    ), superseded AS (
        INSERT INTO pv_superseded_codes (code, code_id)
        SELECT f.code, f.former FROM freed AS f JOIN pv_assignments AS g ON g.code_id = f.former
        ON CONFLICT DO NOTHING
    ), taken AS (
        UPDATE pv_active_codes AS a SET code_id = f.id FROM freed AS f
        WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = f.code
    ), others AS (
        UPDATE pg_temp.partner_vouchers_refused AS r SET first = f.id FROM freed AS f
        WHERE r.code = f.code AND r.line <> f.id
    )
    DELETE FROM pg_temp.partner_vouchers_refused AS r USING freed AS f WHERE r.line = f.id
"""
_DELETE_REFUSED = """
    DELETE FROM pv_codes AS c USING pg_temp.partner_vouchers_refused AS r WHERE c.id = r.line
"""
_DELETE_SURPLUS = """
    WITH surplus AS (
        DELETE FROM pv_codes WHERE id BETWEEN (
            SELECT id FROM pv_codes WHERE id BETWEEN %s AND %s ORDER BY id OFFSET %s LIMIT 1) AND %s
        RETURNING id, code
    ), entries AS (
        DELETE FROM pv_active_codes AS a USING surplus AS s
        WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = s.code AND a.code_id = s.id
    )
    INSERT INTO pg_temp.partner_vouchers_refused (line, code) SELECT id, code FROM surplus
"""


class PostgresCodeImport:
    """The codes of one upload on their way into a list; see `ports.CodeImport`."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        upload: Upload,
        scope: str,
        counts: Callable[[State], bool],
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._upload_id = upload.id
        self._list_id = upload.list_id
        self._upload_number = to_number(upload.id)
        self._list_number = to_list_number(upload.list_id)
        self._scope = scope
        self._states = [state.value for state in State if counts(state)]
        self._loan: Loan | None = None
        self._importer = ""
        self._only_checks = False
        self._places = _Places()
        self._refused: Counter[RowFaultKind] = Counter()
        self._kept = 0
        self._accepted: int | None = None
        self._is_published = False

    def __enter__(self) -> PostgresCodeImport:
        # A connection of its own, since the temporary tables go with it, and since its end tells of a dead import.
        loan = self._loan = self._connections.lend()
        try:
            self._importer = backend_of(loan.connection)
            with self._write() as tx:
                tx.session.run(TABLES)
                sql = "SELECT 1 FROM pv_uploads WHERE id = %s"
                self._only_checks = not tx.session.execute(sql, (self._upload_number,)).fetchall()
                tx.commit()
        except BaseException as error:
            loan.end()
            if isinstance(error, psycopg.Error):
                raise translated(error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loan, self._loan = self._loan, None
        if loan is None:
            return
        try:
            # Where the connection is lost, that alone tells others that the import was given up.
            with suppress(psycopg.Error, StorageError):
                self._let_go(loan)
        finally:
            loan.end()
        if isinstance(error, psycopg.Error):
            raise translated(error) from error

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        """See `ports.CodeImport`."""
        return dict(self._refused)

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        """See `ports.CodeImport`."""
        if not codes:
            return
        with self._write() as tx:
            if self._only_checks:
                copy_codes(tx.session, "pg_temp.partner_vouchers_staged", lines[0], lines, codes)
            else:
                first = self._allocate(tx, lines[-1] - lines[0] + 1)
                copy_codes(tx.session, "pv_codes", first, lines, codes)
                self._places.add(first, lines[0], lines[-1] - lines[0] + 1)
            tx.commit()

    def refuse(self, faults: Sequence[RowFault]) -> None:
        """See `ports.CodeImport`."""
        self._refused.update(fault.kind for fault in faults)
        kept = faults[: max(MAX_KEPT_FAULTS - self._kept, 0)]
        self._kept += len(kept)
        if kept:
            with self._write() as tx:
                copy_faults(tx.session, kept)
                tx.commit()

    def sample(self, limit: int) -> list[RowFault]:
        """See `ports.CodeImport`."""
        with self._write() as tx:
            return sample_of_faults(tx.session, limit)

    def check(self, judge: Judge, full: Full) -> None:
        """See `ports.CodeImport`."""
        with self._write() as tx:
            tx.session.execute(_CHECK, (self._scope, self._states))
            tx.session.run(
                "DELETE FROM pg_temp.partner_vouchers_staged AS s USING pg_temp.partner_vouchers_refused AS r "
                "WHERE s.line = r.line"
            )
            room = self._room(tx.session)
            tx.session.execute(
                "INSERT INTO pg_temp.partner_vouchers_refused (line, code) "
                "SELECT line, code FROM pg_temp.partner_vouchers_staged ORDER BY line OFFSET %s",
                (room,),
            )
            tx.commit()
        self._judge(judge, full, lambda line: line)

    def claim(self, judge: Judge, full: Full, keep_alive: KeepAlive) -> None:
        """See `ports.CodeImport`."""
        with self._write() as tx:
            # Others who claim in this scope come after this transaction, and see what it did.
            tx.session.lock("scope", self._scope)
            self._require_mine(tx)
            keep_alive(tx)
            total = self._count(tx.session)
            if total:
                self._claim(tx.session, total)
            self._accepted = self._count(tx.session)
            keep_alive(tx)
            tx.commit()
        self._judge(judge, full, self._places.line_of)

    def save_faults(self, keep_alive: KeepAlive) -> None:
        """See `ports.CodeImport`."""
        with self._write() as tx:
            tx.session.execute("DELETE FROM pv_upload_faults WHERE upload_id = %s", (self._upload_number,))
            tx.session.execute(
                "INSERT INTO pv_upload_faults (upload_id, line, raw, kind, message) "
                "SELECT %s, line, raw, kind, message FROM pg_temp.partner_vouchers_faults ORDER BY line",
                (self._upload_number,),
            )
            keep_alive(tx)
            tx.commit()

    def publish(self, tx: Transaction) -> int:
        """Make the claimed codes available when `tx` commits.

        Returns:
            how many they are.

        Raises:
            StorageError: `tx` is of another storage or has ended; or `claim` has not ended well.
            UnknownList: the list was removed.
            UploadInterrupted: somebody else took the upload over.
        """
        if not isinstance(tx, PostgresTransaction) or tx.shared is not self._shared:
            raise StorageError(reason="publish in a transaction of the storage that the import belongs to")
        if self._accepted is None or self._is_published:
            raise StorageError(reason="publish once, after claim has come to its end")
        self._require_mine(tx)
        tx.session.execute(
            "UPDATE pv_stock SET uploaded = uploaded + %s, published = greatest(published, %s) WHERE list_id = %s",
            (self._accepted, self._places.last, self._list_number),
        )
        tx.session.execute("UPDATE pv_uploads SET importer = NULL WHERE id = %s", (self._upload_number,))
        self._is_published = True
        return self._accepted

    def _write(self) -> OwnConnectionContext:
        if self._loan is None:
            raise StorageError(reason="an import is used within its context only")
        return OwnConnectionContext(self._shared, self._loan.connection)

    def _let_go(self, loan: Loan) -> None:
        with OwnConnectionContext(self._shared, loan.connection) as tx:
            sql = "UPDATE pv_uploads SET importer = NULL WHERE id = %s AND importer = %s"
            tx.session.execute(sql, (self._upload_number, self._importer))
            tx.session.run(
                "DROP TABLE IF EXISTS pg_temp.partner_vouchers_staged, pg_temp.partner_vouchers_faults, "
                "pg_temp.partner_vouchers_refused"
            )
            tx.commit()

    def _require_mine(self, tx: PostgresTransaction) -> None:
        """Make sure that nobody else took the upload over, and that nobody does before the transaction ends.

        The first time, what a killed process left of this upload is cleared away.
        """
        db = tx.session
        db.share_list(self._list_number)
        db.lock("import", str(self._list_number))
        if not db.execute("SELECT 1 FROM pv_lists WHERE id = %s AND removed = 0", (self._list_number,)).fetchall():
            raise UnknownList(list_id=self._list_id)
        if self._places:
            sql = "SELECT 1 FROM pv_uploads WHERE id = %s AND first_code = %s AND importer = %s"
            mine = db.execute(sql, (self._upload_number, self._places.first, self._importer)).fetchall()
            if not mine:
                raise UploadInterrupted(upload_id=self._upload_id)
        else:
            delete_unpublished(db, self._upload_number)

    def _allocate(self, tx: PostgresTransaction, span: int) -> int:
        """Take a range of ids, which no other upload ever gets."""
        self._require_mine(tx)
        rows = tx.session.execute(
            "UPDATE pv_positions SET next_position = next_position + %s WHERE list_id = %s "
            "RETURNING next_position - %s",
            (span, self._list_number, span),
        ).fetchall()
        first = first_code_id(self._list_number) + int(rows[0][0])
        tx.session.execute(
            "UPDATE pv_uploads SET first_code = %s, last_code = %s, importer = %s WHERE id = %s",
            (self._places.first or first, first + span - 1, self._importer, self._upload_number),
        )
        return first

    def _claim(self, db: Session, total: int) -> None:
        first, last = self._places.first, self._places.last
        db.run(f"SET LOCAL work_mem = '{_WORK_MEMORY}'")
        claimed = db.execute(_CLAIM, (self._scope, first, last)).rowcount
        if claimed < total:
            db.execute(_FIND_CONFLICTS, (first, last, self._states, self._scope, first, last))
            db.execute(_TAKE_OVER, (first, last, self._scope))
            db.execute(_DELETE_REFUSED)
        room = self._room(db)
        if self._count(db) > room:
            db.execute(_DELETE_SURPLUS, (first, last, room, last, self._scope))

    def _count(self, db: Session) -> int:
        sql = "SELECT count(*) FROM pv_codes WHERE id BETWEEN %s AND %s"
        return int(db.execute(sql, (self._places.first, self._places.last)).fetchall()[0][0])

    def _room(self, db: Session) -> int:
        rows = db.execute("SELECT uploaded FROM pv_stock WHERE list_id = %s", (self._list_number,)).fetchall()
        return max(CAPACITY - (rows[0][0] if rows else 0), 0)

    def _judge(self, judge: Judge, full: Full, line_of: Callable[[int], int]) -> None:
        """Find words for what the set operations refused."""
        with self._write() as tx:
            pages = pages_of_refused(tx.session)
            for page in pages:
                faults: list[RowFault] = []
                for place, code, held_by, first in page:
                    if held_by is not None:
                        reason = judge(Holder(str(held_by)))
                    elif first is not None:
                        reason = judge(Holder(str(self._list_number), line_of(first)))
                    else:
                        reason = full()
                    faults.append(RowFault(line_of(place), code, *reason))
                self._refused.update(fault.kind for fault in faults)
                kept = faults[: max(MAX_KEPT_FAULTS - self._kept, 0)]
                self._kept += len(kept)
                copy_faults(tx.session, kept)
            tx.commit()


class _Places:
    """Which line of the file has which id: runs of lines that follow one another."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, first_id: int, first_line: int, span: int) -> None:
        self._runs.append((first_id, first_line, span))

    @property
    def first(self) -> int:
        """The first id; 0 where there is none."""
        return self._runs[0][0] if self._runs else 0

    @property
    def last(self) -> int:
        """The last id; 0 where there is none."""
        return self._runs[-1][0] + self._runs[-1][2] - 1 if self._runs else 0

    def line_of(self, code_id: int) -> int:
        """Return the line of an id."""
        first_id, first_line, _ = self._runs[bisect_right(self._runs, (code_id, _LAST, 0)) - 1]
        return first_line + code_id - first_id

