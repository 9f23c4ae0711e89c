"""Import the codes of an upload into SQLite: staged in temporary tables, sorted, then merged in short slices.

The codes are collected in temporary tables, which block no other connection. Then they enter the index of their
scope in the order of the codes, which touches each page of it once, and the log of the list in the order of the
file; both in transactions of a few milliseconds. The range of ids that they take is dead until `publish` revives it, so
nothing of a process that is killed on the way ever becomes visible.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

from partner_vouchers.adapters.sql.campaigns import Catalog
from partner_vouchers.adapters.sql.columns import POSITION_BITS, first_code_id, to_number
from partner_vouchers.adapters.sql.lists import require_list
from partner_vouchers.adapters.sql.reservations import HELD_BY_USER
from partner_vouchers.adapters.sqlite.connections import Connection, Connections
from partner_vouchers.adapters.sqlite.contexts import WriteContext
from partner_vouchers.adapters.sqlite.driver import translated
from partner_vouchers.adapters.sqlite.reclaim import LINE_BITS, delete_unpublished
from partner_vouchers.adapters.sqlite.slices import in_slices, new_size, one_slice
from partner_vouchers.adapters.sqlite.staging import SAVE_FAULTS, Staging
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload
from partner_vouchers.errors import StorageError
from partner_vouchers.locks import Recoverable
from partner_vouchers.ports import Judge, Transaction

_ON_CONFLICT = "pv_on_conflict"
_PAGE = 5_000


class SQLiteCodeImport(Recoverable):
    """The codes of one upload on their way into a list; see `ports.CodeImport`."""

    def __init__(
        self,
        pool: Connections,
        catalog: Catalog,
        upload: Upload,
        scope: str,
        counts: Callable[[State], bool],
    ) -> None:
        self._pool = pool
        self._catalog = catalog
        self._upload_number = to_number(upload.id)
        self._list_number = to_number(upload.list_id)
        self._scope = scope
        self._counts = counts
        self._connection: Connection | None = None
        self._generation = pool.generation
        self._staged: Staging | None = None
        self._base = 0
        # From which line on codes are not claimed; 0 where nothing was refused before the claims begin.
        self._cut = 0

    def __enter__(self) -> SQLiteCodeImport:
        try:
            # A separate connection, which owns the temporary tables.
            connection = self._connection = self._pool.open(self.token)
            self._staged = Staging(connection)
        except BaseException as error:
            self.leave(error)
            raise
        return self

    def leave(self, error: BaseException | None) -> None:
        """Drop what was staged, and turn an error of the driver into one of the library."""
        if self._connection is not None and self._pool.generation == self._generation:
            self._pool.discard(self._connection)
        self._connection = self._staged = None
        if isinstance(error, sqlite3.Error):
            raise translated(error) from None

    @property
    def refused(self) -> dict[RowFaultKind, int]:
        return dict(self._staging.refused)

    def add(self, lines: Sequence[int], codes: Sequence[str]) -> None:
        self._staging.add(lines, codes)

    def refuse(self, faults: Sequence[RowFault]) -> None:
        self._staging.refuse(faults)

    def sample(self, limit: int) -> list[RowFault]:
        return self._staging.sample(limit)

    def check(self, judge: Judge, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        self._staging.sort()
        self._refuse_held(judge)
        self._cut_to_room(full)
        self._refuse_repeats(judge)

    def claim(
        self,
        judge: Judge,
        full: Callable[[], tuple[RowFaultKind, str]],
        keep_alive: Callable[[Transaction], None],
    ) -> None:
        self._staging.sort()
        self._clear_earlier(keep_alive)
        if self._staging.left > self._room():
            # Found by reading, before anything is written for codes that have no room.
            self._cut = self._staging.last_line + 1
            self._refuse_held(judge)
            self._cut_to_room(full)
        self._allocate(keep_alive)
        self._claim_in_scope(judge, keep_alive)
        self._refuse_repeats(judge)
        self._append_to_log(keep_alive)

    def held_before(self, limit: int) -> tuple[int, list[tuple[int, str]]]:
        former = [number for number, state in self._lists_of_scope() if not self._counts(state)]
        if not former:
            return 0, []
        rows = self._own.execute(
            f"""
            SELECT o.line, o.code FROM ordered AS o WHERE o.line NOT IN (SELECT line FROM dropped) AND (EXISTS (
                SELECT 1 FROM pv_active_codes AS a
                WHERE a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?1) AND a.code = o.code
                  AND a.code_id >> {POSITION_BITS} IN (SELECT value FROM json_each(?2)) AND {HELD_BY_USER}
            ) OR EXISTS (
                SELECT 1 FROM pv_superseded_codes AS a
                WHERE a.code = o.code AND a.code_id >> {POSITION_BITS} IN (SELECT value FROM json_each(?2))
                  AND {HELD_BY_USER}
            ))
            """,
            (self._scope, json.dumps(former)),
        )
        found, first = 0, list[tuple[int, str]]()
        while page := rows.fetchmany(_PAGE):
            found += len(page)
            first = heapq.nsmallest(limit, first + page)
        return found, first

    def _refuse_held(self, judge: Judge) -> None:
        """Refuse what other lists hold, by reading alone."""
        owners = self._owners()
        rows = self._own.execute(
            """
            SELECT o.line, o.code, a.code_id
            FROM ordered AS o JOIN pv_active_codes AS a
                ON a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = o.code
            """,
            (self._scope,),
        )
        while page := rows.fetchmany(_PAGE):
            self._staging.drop(
                [
                    RowFault(line, code, *judge(Holder(str(code_id >> POSITION_BITS))))
                    for line, code, code_id in page
                    if owners.is_alive(code_id)
                ]
            )

    def _refuse_repeats(self, judge: Judge) -> None:
        """Refuse the codes that an earlier line of the file has."""
        if not self._staging.has_repeats:
            return
        owners = self._owners()
        rows = self._own.execute(
            """
            SELECT r.line, r.code, r.first, a.code_id
            FROM repeats AS r LEFT JOIN pv_active_codes AS a
                ON a.scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND a.code = r.code
            """,
            (self._scope,),
        )
        own = str(self._list_number)
        while page := rows.fetchmany(_PAGE):
            refused: list[RowFault] = []
            for line, code, first, code_id in page:
                is_held = code_id is not None and owners.is_alive(code_id)
                holder = Holder(str(code_id >> POSITION_BITS)) if is_held else Holder(own, first)
                refused.append(RowFault(line, code, *judge(holder)))
            self.refuse(refused)

    def save_faults(self, keep_alive: Callable[[Transaction], None]) -> None:
        start = self._upload_number << LINE_BITS

        def delete_earlier(tx: SQLiteTransaction, rows: int) -> bool:
            keep_alive(tx)
            deleted = tx.db.execute(
                "DELETE FROM pv_upload_faults WHERE id IN "
                "(SELECT id FROM pv_upload_faults WHERE id >= ? AND id < ? LIMIT ?)",
                (start, start + (1 << LINE_BITS), rows),
            )
            return deleted.rowcount == rows

        in_slices(self._write, delete_earlier)
        self._copy_in_slices("pv_upload_faults", SAVE_FAULTS, start, (1 << LINE_BITS) - 1, keep_alive)

    def publish(self, tx: Transaction) -> int:
        if not isinstance(tx, SQLiteTransaction) or tx.catalog is not self._catalog:
            raise StorageError(reason="publish in a transaction of the storage that the import belongs to")
        require_list(tx.session, str(self._list_number))
        tx.db.execute(
            "UPDATE pv_stock SET uploaded = uploaded + ?, published = ? WHERE list_id = ?",
            (self._staging.left, self._base + self._staging.last_line, self._list_number),
        )
        tx.db.execute("DELETE FROM pv_dead_ranges WHERE first = ?", (self._base + 1,))
        tx.session.change("refresh_skip", self._list_number)
        return self._staging.left

    @property
    def _staging(self) -> Staging:
        if self._staged is None:
            raise RuntimeError("an import is used within its context only")
        return self._staged

    @property
    def _own(self) -> Connection:
        return self._staging.connection

    def _write(self) -> WriteContext:
        return WriteContext(self._pool, self._catalog, self._own)

    def _clear_earlier(self, keep_alive: Callable[[Transaction], None]) -> None:
        """Delete what a killed process claimed for this upload, while its range of ids is still known."""

        def clear(tx: SQLiteTransaction, rows: int) -> bool:
            keep_alive(tx)
            return delete_unpublished(tx, self._upload_number, rows)

        in_slices(self._write, clear)

    def _allocate(self, keep_alive: Callable[[Transaction], None]) -> None:
        """Take a range of ids, dead until it is published. No other upload ever gets an id of it."""
        with self._write() as tx:
            keep_alive(tx)
            rows = tx.db.execute(
                "UPDATE pv_stock SET next_position = next_position + ? WHERE list_id = ? RETURNING next_position",
                (self._staging.last_line + 1, self._list_number),
            ).fetchall()
            if rows:
                self._base = first_code_id(self._list_number) + rows[0][0] - self._staging.last_line - 1
                first, last = self._base + 1, self._base + self._staging.last_line + 1
                tx.db.execute("INSERT INTO pv_dead_ranges (first, last) VALUES (?, ?)", (first, last - 1))
                tx.db.execute(
                    "UPDATE pv_uploads SET first_code = ?, last_code = ? WHERE id = ?",
                    (first, last - 1, self._upload_number),
                )
            tx.commit()

    def _claim_in_scope(self, judge: Judge, keep_alive: Callable[[Transaction], None]) -> None:
        owners = self._owners()
        refused: list[RowFault] = []
        conflicts: list[str] = []
        # A function of ours would lose the exception of a signal handler: SQLite makes an error of its own of it. This
        # one is C. It notes the entry that is in the way, and returns None, so that the entry stays.
        self._own.create_function(_ON_CONFLICT, 1, conflicts.append)
        done = 0
        # Most of those that do not fit are found by their line, without a look-up.
        fitting = f"AND line < {self._cut} AND line NOT IN (SELECT line FROM dropped)" if self._cut else ""

        def claim_slice(tx: SQLiteTransaction, rows: int) -> None:
            keep_alive(tx)
            conflicts.clear()
            tx.db.execute(
                f"""
                INSERT INTO pv_active_codes (scope_id, code, code_id)
                SELECT (SELECT id FROM pv_scopes WHERE key = ?), code, ? + line
                FROM ordered WHERE rowid > ? AND rowid <= ? {fitting} ORDER BY rowid
                ON CONFLICT (scope_id, code) DO UPDATE SET code_id = excluded.code_id
                WHERE {_ON_CONFLICT}(excluded.code_id || ' ' || pv_active_codes.code_id || ' ' || excluded.code)
                """,
                (self._scope, self._base, done, done + rows),
            )
            taken_over: list[tuple[int, str, int]] = []
            for conflict in conflicts:
                new, old, code = conflict.split(" ", 2)
                if owners.is_alive(int(old)):
                    holder = Holder(str(int(old) >> POSITION_BITS))
                    refused.append(RowFault(int(new) - self._base, code, *judge(holder)))
                else:
                    taken_over.append((int(new), code, int(old)))
            tx.db.executemany(
                "UPDATE pv_active_codes SET code_id = ? "
                "WHERE scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND code = ?",
                [(new, self._scope, code) for new, code, _ in taken_over],
            )
            tx.db.executemany(
                "INSERT OR IGNORE INTO pv_superseded_codes SELECT a.code, a.code_id "
                f"FROM (SELECT ? AS code, ? AS code_id) AS a WHERE {HELD_BY_USER}",
                [(code, old) for _, code, old in taken_over],
            )

        (total,) = self._own.execute("SELECT coalesce(max(rowid), 0) FROM ordered").fetchone()
        size = new_size()
        while done < total:
            done += one_slice(self._write, claim_slice, size)
            self._staging.drop(refused)
            refused.clear()

    def _room(self) -> int:
        row = self._own.execute(
            "SELECT uploaded, withdrawn FROM pv_stock WHERE list_id = ?", (self._list_number,)
        ).fetchone()
        return max(Counts(uploaded=row[0], withdrawn=row[1]).capacity_left, 0) if row else 0

    def _cut_to_room(self, full: Callable[[], tuple[RowFaultKind, str]]) -> None:
        """Refuse what does not fit, from the end of the file."""
        room = self._room()
        if self._staging.left <= room:
            return
        self._cut, rows = self._staging.beyond(room)
        while page := rows.fetchmany(_PAGE):
            self._staging.drop([RowFault(line, code, *full()) for line, code in page])

    def _append_to_log(self, keep_alive: Callable[[Transaction], None]) -> None:
        append = self._staging.append_statement()
        self._copy_in_slices("pv_codes", append, self._base, self._staging.last_line, keep_alive)

    def _copy_in_slices(
        self, table: str, insert: str, base: int, last: int, keep_alive: Callable[[Transaction], None]
    ) -> None:
        """Copy rows into ids above `base`, in the order of their lines, up to the line `last`."""
        after = 0

        def copy(tx: SQLiteTransaction, rows: int) -> bool:
            nonlocal after
            keep_alive(tx)
            if tx.db.execute(insert, (base, after, rows)).rowcount < rows:
                return False
            (newest,) = tx.db.execute(f"SELECT max(id) FROM {table} WHERE id <= ?", (base + last,)).fetchone()
            after = newest - base
            return True

        in_slices(self._write, copy)

    def _lists_of_scope(self) -> list[tuple[int, State]]:
        rows = self._own.execute(
            "SELECT id, state FROM pv_lists WHERE scope_id = (SELECT id FROM pv_scopes WHERE key = ?) AND removed = 0",
            (self._scope,),
        )
        return [(number, State(state)) for number, state in rows]

    def _owners(self) -> _Owners:
        alive = {number for number, state in self._lists_of_scope() if self._counts(state)}
        ranges = "json_each(?) AS l CROSS JOIN pv_dead_ranges ON first > l.value << ? AND first < (l.value + 1) << ?"
        lists = (json.dumps(sorted(alive)), POSITION_BITS, POSITION_BITS)
        dead = self._own.execute(f"SELECT first, last FROM {ranges} ORDER BY first", lists).fetchall()
        retired = self._own.execute(
            f"SELECT r.code_id FROM {ranges} CROSS JOIN pv_retired AS r ON r.code_id BETWEEN first AND last "
            "ORDER BY r.code_id",
            lists,
        )
        return _Owners(alive, dead, retired)


class _Owners:
    """The codes in the index of a scope that still have a holder."""

    def __init__(
        self, lists: set[int], dead: Iterable[tuple[int, int]], retired: Iterable[tuple[int]]
    ) -> None:
        self._lists = lists
        self._dead = list(dead)
        self._firsts = [first for first, _ in self._dead]
        # Codes that were used without having been given out stay in their list when their upload is withdrawn.
        self._retired = array("q", (code_id for (code_id,) in retired))

    def is_alive(self, code_id: int) -> bool:
        if code_id >> POSITION_BITS not in self._lists:
            return False
        at = bisect_right(self._firsts, code_id) - 1
        if at < 0 or self._dead[at][1] < code_id:
            return True
        at = bisect_left(self._retired, code_id)
        return self._retired[at : at + 1] == array("q", [code_id])
