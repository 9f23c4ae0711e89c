"""Statements that go to the server together, on connections of our own.

An assignment is eight small statements, and most of what each of them costs is to be sent by itself. Here those
without an answer, such as locks, wait for the next one that has an answer, and are sent with it. The server
executes them one after the other, each with its own snapshot.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import psycopg
from psycopg import abc, adapt, generators
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import RowFactory, TupleRow, tuple_row

from partner_vouchers.adapters.postgres.errors import is_told_by_server, translated
from partner_vouchers.adapters.postgres.loaders import OWN

Parameter = int | str | bytes | None
"""What such statements take. Others go through a cursor."""

_COMMIT = b"COMMIT"
_PLANS_SECONDS = 10.0
"""How long plans are used: one that suits a table with few codes walks through the million that came after."""
_PLACEHOLDER = re.compile(rb"%[s%]")


class OwnConnection(psycopg.Connection[Any]):
    """A connection of our own pool. No other code drops the statements that were prepared on it.

    Attributes:
        statement_names: under which name the server knows which statement.
        tried_names: names that the server may know, since they were sent to it.
        row_reader: reads its answers.
    """

    def __init__(self, pgconn: PGconn, row_factory: RowFactory[Any] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.statement_names: dict[bytes, bytes] = {}
        self.tried_names: Iterator[int] = count()
        self._plans_end = time.monotonic() + _PLANS_SECONDS
        # It does not know the connection, which is freed at once when nothing else does.
        self.row_reader: abc.Transformer = adapt.Transformer(OWN)

    def forget_old_plans(self) -> None:
        """Plan the statements again, from time to time; not within a transaction that has begun.

        Raises:
            psycopg.Error: the connection was lost.
        """
        now = time.monotonic()
        if now >= self._plans_end:
            command(self, b"DISCARD PLANS")
            self._plans_end = now + _PLANS_SECONDS


class Pipeline:
    """The statements of one transaction.

    Attributes:
        connection: where they go.
    """

    def __init__(self, connection: OwnConnection) -> None:
        self.connection: OwnConnection = connection
        self._pgconn = connection.pgconn
        self._names = connection.statement_names
        self._queue: list[tuple[bytes, list[bytes | None]]] = []

    def queue(self, sql: bytes, parameters: Sequence[Parameter]) -> None:
        """Let a statement go with the next one, at the latest with the commit, where its error is raised.

        Raises:
            psycopg.DataError: a parameter cannot be sent.
        """
        self._queue.append((sql, [_dumped(value) for value in parameters]))

    def fetch(self, sql: bytes, parameters: Sequence[Parameter]) -> list[TupleRow]:
        """Execute what was queued and a statement, and return the rows of the latter.

        Raises:
            psycopg.Error: one of them failed, and nothing after it was done.
        """
        self.queue(sql, parameters)
        answer = self._exchange()[-1]
        reader = self.connection.row_reader
        reader.set_pgresult(answer)
        return reader.load_rows(0, answer.ntuples, tuple)

    def flush(self) -> None:
        """Execute what was queued.

        Raises:
            psycopg.Error: a statement failed, and nothing after it was done.
        """
        if self._queue:
            self._exchange()

    def commit(self) -> bytes | None:
        """Execute what was queued, commit, and return the command tag.

        Raises:
            StorageError: a statement before the commit failed, and nothing was stored.
            psycopg.Error: the commit failed, or the connection was lost, and it is unknown how far the server came.
        """
        before = len(self._queue)
        self._queue.append((_COMMIT, []))
        failed = None
        try:
            self._prepare()
        except psycopg.Error as error:
            failed = translated(error)
        if failed is not None:
            raise failed
        answers = self._send()
        for place, answer in enumerate(answers):
            if _has_failed(answer):
                failure = failure_of(answer)
                # Without an answer of the server it is unknown how far it came: all of it may have arrived.
                raise translated(failure) if place < before and is_told_by_server(failure) else failure
        return answers[-1].command_status

    def _exchange(self) -> list[PGresult]:
        self._prepare()
        answers = self._send()
        for answer in answers:
            if _has_failed(answer):
                failure = failure_of(answer)
                if isinstance(failure, psycopg.errors.FeatureNotSupported):
                    # So the server answers where a table was altered after a statement was prepared.
                    self._names.clear()
                raise failure
        return answers

    def _send(self) -> list[PGresult]:
        """Send what was queued, and return the answers as far as the first that says that a statement failed."""
        statements, self._queue = self._queue, []
        pgconn, answers = self._pgconn, list[PGresult]()
        pgconn.enter_pipeline_mode()
        try:
            for sql, parameters in statements:
                pgconn.send_query_prepared(self._names[sql], parameters)
            pgconn.pipeline_sync()
            self.connection.wait(_receive(pgconn, len(statements), answers))
        except psycopg.OperationalError:
            # The server may have said why it ends the connection, and after which statement.
            if not any(map(_has_failed, answers)):
                raise
        finally:
            # Nothing more is asked of a connection that was lost.
            with suppress(psycopg.Error):
                pgconn.exit_pipeline_mode()
        return answers

    def _prepare(self) -> None:
        """Make sure that the server knows the statements that were queued."""
        for sql, _ in self._queue:
            if sql not in self._names:
                # If a Ctrl-C ended the wait for an answer, the server may or may not know that name.
                name = b"partner_vouchers_%d" % next(self.connection.tried_names)
                self._pgconn.send_prepare(name, _numbered(sql))
                (answer,) = self.connection.wait(generators.execute(self._pgconn))
                if answer.status != ExecStatus.COMMAND_OK:
                    raise failure_of(answer)
                self._names[sql] = name


def command(connection: psycopg.Connection[Any], sql: bytes, *, whole: bool = False) -> bytes | None:
    """Execute what has neither parameters nor rows, and return the command tag.

    The driver's cursors would spend more on it than the server does.

    Raises:
        psycopg.Error: it failed, or the connection was lost.
    """
    if isinstance(connection, OwnConnection):
        answer = connection.pgconn.exec_(sql)
    else:
        connection.pgconn.send_query(sql)
        wait = getattr(connection, "finish", connection.wait) if whole else connection.wait
        answer = wait(generators.execute(connection.pgconn))[-1]
    if answer.status != ExecStatus.COMMAND_OK:
        raise failure_of(answer)
    return answer.command_status


def _receive(pgconn: PGconn, statements: int, answers: list[PGresult]) -> Generator[Any, Any, None]:
    """Receive the answers to statements, and the word that there are no more."""
    yield from generators.send(pgconn)
    for _ in range(statements):
        answers += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)


def _has_failed(answer: PGresult) -> bool:
    return answer.status == ExecStatus.FATAL_ERROR


def failure_of(answer: PGresult) -> psycopg.Error:
    """Return the error in an answer, without its message, which may quote a code."""
    sqlstate = answer.error_field(DiagnosticField.SQLSTATE)
    if sqlstate is None:
        return psycopg.OperationalError("the connection was lost")
    try:
        kind = psycopg.errors.lookup(sqlstate.decode())
    except KeyError:
        kind = psycopg.DatabaseError
    return kind(info=answer)


def _numbered(sql: bytes) -> bytes:
    """Return a statement with the server's placeholders for those of the driver."""
    numbers = count(1)
    return _PLACEHOLDER.sub(lambda found: b"%" if found[0] == b"%%" else b"$%d" % next(numbers), sql)


def _dumped(value: Parameter) -> bytes | None:
    """Return a value as the server reads it."""
    if value is None:
        return None
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    if "\0" in value:
        raise psycopg.DataError("text in PostgreSQL cannot contain NUL characters")
    try:
        return value.encode()
    except UnicodeEncodeError:
        # Whose own error would keep the text.
        raise psycopg.DataError("text in PostgreSQL cannot contain half of a character") from None
