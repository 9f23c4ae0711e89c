"""Import the codes of an upload into PostgreSQL: copied into a temporary table, then checked by set operations.

One sorted pass enters the codes into the index of their scope; the server's own constraint says which are
refused. The others go where they will be taken from, at ids beyond `pv_stock.published`, which are not read yet. To
publish is to move `published`. No assignment waits for any of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from traceback import clear_frames
from types import TracebackType

from partner_vouchers.adapters.postgres.connections import Connections, PooledConnection
from partner_vouchers.adapters.postgres.contexts import OwnConnectionContext, commit
from partner_vouchers.adapters.postgres.driver import Copy, Session
from partner_vouchers.adapters.postgres.liveness import backend_of, is_dead
from partner_vouchers.adapters.postgres.pool import is_clean
from partner_vouchers.adapters.postgres.reclaim import delete_unpublished
from partner_vouchers.adapters.postgres.shared import Shared
from partner_vouchers.adapters.postgres.staging import COPY_CODES, FAULTS, REFUSED, STAGED, Staging
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.adapters.sql.columns import POSITION_BITS, first_code_id, to_list_number, to_number
from partner_vouchers.adapters.sql.lists import require_list
from partner_vouchers.adapters.sql.reservations import HELD_BY_USER
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.domain.uploads import MAX_KEPT_FAULTS, RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError, UploadInterrupted
from partner_vouchers.ports import Judge, Transaction

Full = Callable[[], tuple[RowFaultKind, str]]
KeepAlive = Callable[[Transaction], None]

_WORK_MEMORY = "64MB"

# Whether the code of an entry is held: of a list that counts, given out, or to be taken, or of an upload that
# another connection is bringing in.
_IS_HELD = f"""
    CASE WHEN NOT EXISTS (
        SELECT 1 FROM pv_lists AS l WHERE l.id = a.code_id >> {POSITION_BITS} AND l.removed = 0 AND l.state = ANY (%s)
    ) THEN false
    WHEN {HELD_BY_USER} OR EXISTS (SELECT 1 FROM pv_returned AS b WHERE b.code_id = a.code_id) THEN true
    ELSE EXISTS (
        SELECT 1 FROM pv_codes AS h JOIN pv_stock AS s ON s.list_id = h.id >> {POSITION_BITS}
        WHERE h.id = a.code_id AND (h.id <= s.published OR EXISTS (
            SELECT 1 FROM pv_imports AS i
            WHERE i.list_id = s.list_id AND h.id BETWEEN i.first_code AND i.last_code AND NOT {is_dead("i.importer")})))
    END
"""

# Rows of the file whose code is held, or is on an earlier line.
_CHECK = f"""
    INSERT INTO {REFUSED} (line, code, held_by, first)
    SELECT line, code, held_by, first FROM (
        SELECT s.line, s.code, min(s.line) OVER (PARTITION BY s.code) AS first, a.held_by
        FROM {STAGED} AS s LEFT JOIN LATERAL (
            SELECT a.code_id >> {POSITION_BITS} AS held_by FROM pv_active_codes AS a
            WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = s.code AND {_IS_HELD}
        ) AS a ON true
    ) AS found WHERE held_by IS NOT NULL OR line <> first
"""
_DROP_REFUSED = f"DELETE FROM {STAGED} AS s USING {REFUSED} AS r WHERE s.line = r.line"

_CLAIM = f"""
    INSERT INTO pv_active_codes (scope_id, code, code_id)
    SELECT (SELECT id FROM pv_scopes WHERE key = %s), s.code, %s + s.line FROM {STAGED} AS s ORDER BY s.code, s.line
    ON CONFLICT (scope_id, code) DO NOTHING
"""
# The same in a scope without codes, in half the time: only lines of the file itself can be in the way. A plain INSERT
# that fails would write the code into the server's log.
_CLAIM_FIRST = f"""
    INSERT INTO pv_active_codes (scope_id, code, code_id)
    SELECT (SELECT id FROM pv_scopes WHERE key = %s), s.code, %s + s.line FROM (
        SELECT DISTINCT ON (code) code, line FROM {STAGED} ORDER BY code, line
    ) AS s
"""
# The order makes the server use the index. Otherwise it reads all codes for a new scope, where a few have nearly all.
_SCOPE_IS_EMPTY = """
    SELECT count(*) = 0 FROM (
        SELECT 1 FROM pv_active_codes WHERE scope_id = (SELECT id FROM pv_scopes WHERE key = %s) ORDER BY code LIMIT 1
    ) AS found
"""
# Entries that are not held, of codes of this file: `line` is the first one with the code.
_FREED = f"""
    SELECT DISTINCT ON (s.code) s.code, s.line, a.code_id AS former
    FROM {STAGED} AS s
    JOIN pv_active_codes AS a ON a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = s.code
    WHERE a.code_id NOT BETWEEN %s AND %s AND NOT {_IS_HELD}
    ORDER BY s.code, s.line
"""
_TAKE_OVER = f"""
    WITH freed AS MATERIALIZED ({_FREED}), superseded AS (
        INSERT INTO pv_superseded_codes (code, code_id)
        SELECT a.code, a.code_id FROM (SELECT code, former AS code_id FROM freed) AS a WHERE {HELD_BY_USER}
        ON CONFLICT DO NOTHING
    )
    UPDATE pv_active_codes AS a SET code_id = %s + f.line FROM freed AS f
    WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = f.code
"""
# By now an entry of a code of this file is its own, or of an earlier line, or it is held.
_FIND_REFUSED = f"""
    INSERT INTO {REFUSED} (line, code, held_by, first)
    SELECT s.line, s.code,
           CASE WHEN a.code_id NOT BETWEEN %s AND %s THEN a.code_id >> {POSITION_BITS} END,
           CASE WHEN a.code_id BETWEEN %s AND %s THEN a.code_id - %s END
    FROM {STAGED} AS s
    JOIN pv_active_codes AS a ON a.scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND a.code = s.code
    WHERE a.code_id <> %s + s.line
"""
_REFUSE_SURPLUS = f"""
    WITH surplus AS (
        DELETE FROM {STAGED} WHERE line >= (SELECT line FROM {STAGED} ORDER BY line OFFSET %s LIMIT 1)
        RETURNING line, code
    )
    INSERT INTO {REFUSED} (line, code) SELECT line, code FROM surplus
"""
# Codes that users have in lists of the scope that do not count.
_HELD_BEFORE = f"""
    SELECT s.line, s.code, count(*) OVER () FROM {STAGED} AS s WHERE s.code IN (
        SELECT a.code FROM (
            SELECT code, code_id FROM pv_active_codes WHERE scope_id = (SELECT id FROM pv_scopes WHERE key = %s)
            UNION ALL SELECT code, code_id FROM pv_superseded_codes
        ) AS a
        JOIN pv_lists AS l ON l.id = a.code_id >> {POSITION_BITS} AND l.id = ANY (%s)
        WHERE {HELD_BY_USER}
    ) ORDER BY s.line LIMIT %s
"""
_FORMER_LISTS = """
    SELECT id FROM pv_lists
    WHERE scope_id = (SELECT id FROM pv_scopes WHERE key = %s) AND removed = 0 AND NOT state = ANY (%s)
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
        self._lent: PooledConnection | None = None
        self._importer = ""
        self._staging = Staging()
        self._copying: tuple[Copy, PostgresTransaction] | None = None
        self._base = 0
        self._last = 0
        self._refused: Counter[RowFaultKind] = Counter()
        self._kept = 0
        self._accepted: int | None = None

    def __enter__(self) -> PostgresCodeImport:
        # A separate connection: it owns the temporary tables, and its end shows that the import is dead.
        self._lent = self._connections.lend()
        try:
            self._importer = backend_of(self._lent.connection)
        except BaseException:
            self._lent.end(discard=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lent, self._lent = self._lent, None
        if lent is None:
            return
        # Closing the connection aborts the COPY, and shows other processes that the import has ended.
        discard = self._copying is not None or not is_clean(lent.connection)
        try:
            if not discard:
                # Unless all of this is done, the tables would be in the way of the connection's next import.
                discard = True
                with suppress(StorageError):
                    self._let_go(lent)
                    discard = False
        finally:
            lent.end(discard=discard)
        if isinstance(error, StorageError):
            clear_frames(traceback)

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        return dict(self._refused)

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        if codes:
            self._staging.add(self._copying[0] if self._copying else self._begin_copy(), lines, codes)

    def refuse(self, faults: Sequence[RowFault]) -> None:
        kept = self._count_refused(faults)
        if kept:
            with self._write() as tx:
                self._staging.keep(tx.session, kept)
                tx.commit()

    def sample(self, limit: int) -> list[RowFault]:
        with self._write() as tx:
            return self._staging.sample(tx.session, limit)

    def check(self, judge: Judge, full: Full) -> None:
        with self._write() as tx:
            if self._staging.has(STAGED):
                self._refuse_held_and_surplus(tx.session)
            tx.commit()
        self._judge(judge, full)

    def claim(self, judge: Judge, full: Full, keep_alive: KeepAlive) -> None:
        with self._write() as tx:
            # Later claims in this scope or for this list wait for this transaction and see its rows.
            tx.session.lock("scope", self._scope)
            self._keep_others_out(tx.session)
            keep_alive(tx)
            delete_unpublished(tx.session, self._list_number)
            accepted = self._claim(tx.session) if self._staging.has(STAGED) else 0
            keep_alive(tx)
            tx.commit()
        self._accepted = accepted
        self._judge(judge, full)

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        with self._write() as tx:
            if not self._staging.has(STAGED):
                return 0, []
            former = tx.session.execute(_FORMER_LISTS, (self._scope, self._states)).fetchall()
            if not former:
                return 0, []
            lists = [row[0] for row in former]
            # One row at least, since the count is a column of it.
            rows = tx.session.execute(_HELD_BEFORE, (self._scope, lists, max(limit, 1))).fetchall()
        return rows[0][2] if rows else 0, [(line, code) for line, code, _ in rows[:limit]]

    def save_faults(self, keep_alive: KeepAlive) -> None:
        with self._write() as tx:
            tx.session.execute("DELETE FROM pv_upload_faults WHERE upload_id = %s", (self._upload_number,))
            if self._staging.has(FAULTS):
                tx.session.execute(
                    "INSERT INTO pv_upload_faults (upload_id, line, raw, kind, message) "
                    f"SELECT %s, line, raw, kind, message FROM {FAULTS} ORDER BY line",
                    (self._upload_number,),
                )
            keep_alive(tx)
            tx.commit()

    def publish(self, tx: Transaction) -> int:
        if not isinstance(tx, PostgresTransaction) or tx.shared is not self._shared:
            raise StorageError(reason="publish in a transaction of the storage that the import belongs to")
        if self._accepted is None:
            raise StorageError(reason="publish after claim has come to its end")
        db = tx.session
        self._keep_others_out(db)
        if self._accepted:
            ours = (self._base + 1, self._importer)
            if not db.execute(
                "DELETE FROM pv_imports WHERE first_code = %s AND importer = %s", ours
            ).rowcount:
                raise UploadInterrupted(upload_id=self._upload_id)
            db.execute(
                "UPDATE pv_stock SET uploaded = uploaded + %s, published = %s WHERE list_id = %s",
                (self._accepted, self._last, self._list_number),
            )
            db.execute(
                "UPDATE pv_uploads SET first_code = %s, last_code = %s WHERE id = %s",
                (self._base + 1, self._last, self._upload_number),
            )
        return self._accepted

    def _begin_copy(self) -> Copy:
        """Begin to copy codes, until something else is written: the server takes some while others are read."""
        with self._write() as tx:
            self._staging.make(tx.session, STAGED)
            tx.commit()
        tx = self._write().__enter__()
        copy = tx.session.begin_copy(COPY_CODES)
        self._copying = copy, tx
        return copy

    def _write(self) -> OwnConnectionContext:
        if self._lent is None:
            raise StorageError(reason="an import is used within its context only")
        if self._copying is not None:
            copy, tx = self._copying
            copy.end()
            commit(tx.session)
            tx.expire()
            self._copying = None
        return OwnConnectionContext(self._shared, self._lent.connection)

    def _let_go(self, lent: PooledConnection) -> None:
        with OwnConnectionContext(self._shared, lent.connection) as tx:
            # From now on, others can take over codes that were not published.
            sql = "UPDATE pv_imports SET importer = '0 0' WHERE importer = %s"
            tx.session.execute(sql, (self._importer,))
            self._staging.drop(tx.session)
            tx.commit()

    def _keep_others_out(self, db: Session) -> None:
        """Make sure that the list is there, and that no other import of it goes on before the transaction ends."""
        db.share_list(self._list_number)
        db.lock("import", str(self._list_number))
        require_list(db, self._list_id)

    def _claim(self, db: Session) -> int:
        scope, staging = self._scope, self._staging
        db.run(f"SET LOCAL work_mem = '{_WORK_MEMORY}'")
        base, last = self._allocate(db)
        left = staging.codes
        if left > self._room(db):
            # Found by reading, before anything is written for codes that have no room.
            left -= self._refuse_held_and_surplus(db)
        is_first = db.execute(_SCOPE_IS_EMPTY, (scope,)).fetchall()[0][0]
        claimed = db.execute(_CLAIM_FIRST if is_first else _CLAIM, (scope, base)).rowcount
        if claimed < left:
            ours = (base + 1, last)
            db.execute(_TAKE_OVER, (scope, *ours, self._states, base, scope))
            staging.make(db, REFUSED)
            db.execute(_FIND_REFUSED, (*ours, *ours, base, scope, base))
            db.execute(_DROP_REFUSED)
        # Codes beyond what was published are not given yet.
        copied = db.execute(f"INSERT INTO pv_codes (id, code) SELECT %s + line, code FROM {STAGED}", (base,))
        self._base, self._last = base, last
        return copied.rowcount

    def _refuse_held_and_surplus(self, db: Session) -> int:
        self._staging.make(db, REFUSED)
        db.execute(_CHECK, (self._scope, self._states))
        dropped = db.execute(_DROP_REFUSED).rowcount
        return dropped + db.execute(_REFUSE_SURPLUS, (self._room(db),)).rowcount

    def _allocate(self, db: Session) -> tuple[int, int]:
        """Take a range of ids, which no other upload ever gets."""
        lines = self._staging.last_line
        rows = db.execute(
            "UPDATE pv_positions SET next_position = next_position + %s WHERE list_id = %s RETURNING next_position",
            (lines, self._list_number),
        ).fetchall()
        last = first_code_id(self._list_number) + int(rows[0][0]) - 1
        base = last - lines
        db.execute(
            "INSERT INTO pv_imports (first_code, last_code, list_id, importer) VALUES (%s, %s, %s, %s)",
            (base + 1, last, self._list_number, self._importer),
        )
        return base, last

    def _room(self, db: Session) -> int:
        sql = "SELECT uploaded, withdrawn FROM pv_stock WHERE list_id = %s"
        rows = db.execute(sql, (self._list_number,)).fetchall()
        return max(Counts(uploaded=rows[0][0], withdrawn=rows[0][1]).capacity_left, 0) if rows else 0

    def _judge(self, judge: Judge, full: Full) -> None:
        """Find words for what the set operations refused."""
        own = str(self._list_number)
        with self._write() as tx:
            for page in self._staging.found(tx.session):
                faults: list[RowFault] = []
                for line, code, held_by, first in page:
                    if held_by is not None:
                        reason = judge(Holder(str(held_by)))
                    elif first is not None:
                        reason = judge(Holder(own, first))
                    else:
                        reason = full()
                    faults.append(RowFault(line, code, *reason))
                kept = self._count_refused(faults)
                if kept:
                    self._staging.keep(tx.session, kept)
            tx.commit()

    def _count_refused(self, faults: Sequence[RowFault]) -> Sequence[RowFault]:
        """Count refused rows, and return those that are kept one by one."""
        self._refused.update(fault.kind for fault in faults)
        kept = faults[: max(MAX_KEPT_FAULTS - self._kept, 0)]
        self._kept += len(kept)
        return kept
