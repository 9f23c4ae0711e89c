"""What becomes of statements that went to the server together, when something comes between."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from partner_vouchers.adapters.postgres import PostgresStorage, pipeline
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.errors import CommitOutcomeUnknown, StorageError
from tests.support.host import FixedClock, Host, wait_until
from tests.support.postgres import connections_of, server


class Pooler:
    """Stands between a storage and the server, and can lose the server's answer.

    Attributes:
        answer: what the storage is told in place of the server's next answer; None while all is well.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.answer: bytes | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def conninfo(self) -> str:
        port = self._listener.getsockname()[1]
        return f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable gssencmode=disable"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as upstream, suppress(OSError):
            upstream.connect(f"{conninfo_to_dict(server().conninfo)['host']}/.s.PGSQL.5432")
            other = {client: upstream, upstream: client}
            while True:
                for ready in select.select([client, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)
                    if ready is client and self.answer is not None:
                        # Once only: when the storage has it, its next connection is served as usual.
                        answer, self.answer = self.answer, None
                        # The server has done what it was asked for.
                        upstream.recv(65536)
                        client.sendall(answer)
                        return


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    with closing(Pooler()) as opened:
        yield opened


def error_message(sqlstate: str) -> bytes:
    """Return how an error looks on the wire, by the manual of PostgreSQL, chapter 54.7."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0Mserver conn crashed?\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"2\0\0", id="half"),
        pytest.param(b"\xff" * 60, id="not the protocol"),
        pytest.param(error_message("08P01"), id="an error of the pooler's own"),
    ],
)
def test_only_the_server_can_say_that_it_did_not_come_to_the_commit(
    schema: str, pooler: Pooler, answer: bytes
) -> None:
    with closing(PostgresStorage(pooler.conninfo, schema=schema)) as storage:
        with storage.begin() as tx:
            # From now on the connection knows both statements.
            tx.keys.put("order-1", "asked", ())
            tx.commit()
        with storage.begin() as tx:
            tx.keys.put("order-2", "asked", ())
            pooler.answer = answer
            with pytest.raises(CommitOutcomeUnknown):
                tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.keys.get("order-2") is not None


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also where the tests were started with the signal ignored (`nohup`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_when_waiting(schema: str) -> threading.Thread:
    def interrupt() -> None:
        wait_until(lambda: connections_of(schema, "wait_event_type = 'Lock'"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def ask_twice(storage: PostgresStorage) -> None:
    """Use a key, and wait for another one."""
    with storage.begin() as tx:
        tx.keys.put("order-1", "asked", ())
        tx.keys.get("order-991")


@pytest.mark.usefixtures("ctrl_c")
def test_who_waits_for_a_lock_that_was_queued_can_be_interrupted(
    storage: PostgresStorage, named: PostgresStorage, schema: str
) -> None:
    with storage.begin() as tx:
        tx.keys.get("order-991")
        thread = interrupt_when_waiting(schema)
        with pytest.raises(KeyboardInterrupt):
            ask_twice(named)
        thread.join()
        assert connections_of(schema, "state <> 'idle'") == []
    with named.begin() as tx:
        assert tx.keys.get("order-991") is None
        assert tx.keys.get("order-1") is None


def test_a_table_that_is_altered_meanwhile_fails_a_connection_once(
    storage: PostgresStorage, schema: str
) -> None:
    with storage.begin() as tx:
        tx.keys.put("order-991", "asked", ())
        tx.keys.get("order-991")
        tx.commit()
    with psycopg.connect(server().conninfo) as operator:
        alter = "ALTER TABLE {}.pv_idempotency_keys ALTER fingerprint TYPE {}"
        operator.execute(alter.format(schema, "varchar").encode())
    try:
        with storage.begin() as tx, pytest.raises(StorageError, match="nothing was stored"):
            tx.keys.get("order-991")
        with storage.begin() as tx:
            assert tx.keys.get("order-991") == ("asked", ())
    finally:
        with psycopg.connect(server().conninfo) as operator:
            operator.execute(alter.format(schema, "text").encode())


def plan_of_taking(tx: PostgresTransaction) -> str:
    """Return how the server takes codes, by the plan that it keeps for the connection."""
    names = getattr(tx.session.connection, "statement_names")  # noqa: B009
    ((sql, name),) = ((sql, name) for sql, name in names.items() if b"taken AS" in sql)
    parameters = ", ".join(["1"] * sql.count(b"%s"))
    rows = tx.session.connection.execute(f"EXPLAIN EXECUTE {name.decode()}({parameters})".encode())
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_plans_are_made_anew_from_time_to_time(
    schema: str, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(pipeline, "_PLANS_SECONDS", seconds)
    with closing(PostgresStorage(server().conninfo, schema=schema)) as storage:
        found = Host(storage, FixedClock()).a_list("A", "B")
        for _ in range(10):
            # One connection after the other.
            with storage.begin() as tx:
                # As if the table was nearly empty, where it is as good to walk through all of it.
                tx.session.run("SET LOCAL enable_tidscan = off")
                tx.codes.take(found.id, 1)
                assert "Tid Scan" not in plan_of_taking(tx)
        for _ in range(10):
            with storage.begin() as tx:
                tx.session.run("SET LOCAL enable_seqscan = off")
                tx.codes.take(found.id, 1)
                assert ("Tid Scan" in plan_of_taking(tx)) == (seconds == 0)
