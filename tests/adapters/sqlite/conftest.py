from __future__ import annotations

import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.connections import Connection
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.scratch import tmp_path as tmp_path

ROOT = Path(__file__).parents[3]

Start = Callable[..., "subprocess.Popen[str]"]


def open_now(path: Path, **options: Any) -> SQLiteStorage:
    """Return a storage that has opened its file, which others do by their first call."""
    storage = SQLiteStorage(path, **options)
    with storage.begin(write=False):
        return storage


def objects(path: Path) -> list[tuple[str, str, str]]:
    """Return the tables, indexes and views of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


@contextmanager
def a_connection(storage: SQLiteStorage) -> Iterator[sqlite3.Connection]:
    """Use a connection of the storage."""
    user = Barrier(1)
    connection = storage._connections.borrow(weakref.ref(user))
    yield connection
    storage._connections.give_back(connection)


@contextmanager
def each_connection(
    storage: SQLiteStorage, prepare: Callable[[sqlite3.Connection], object]
) -> Iterator[None]:
    """Prepare each connection that the storage opens in the context, and close all at its ends."""
    connections = storage._connections
    connect = connections._connect

    def connect_and_prepare(*arguments: Any) -> Connection:
        connection = connect(*arguments)
        prepare(connection)
        return connection

    connections.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "_connect", connect_and_prepare)
        yield
    connections.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "vouchers.db"


@pytest.fixture
def storage(database: Path) -> Iterator[SQLiteStorage]:
    opened = SQLiteStorage(database, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def host(storage: SQLiteStorage, clock: FixedClock) -> Host:
    return Host(storage, clock)


@pytest.fixture
def vouchers(host: Host) -> PartnerVouchers:
    return host.vouchers


@pytest.fixture
def start() -> Iterator[Start]:
    """Start another process; see `children.py`."""
    started: list[subprocess.Popen[str]] = []

    def run(command: str, *arguments: object) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.adapters.sqlite.children", command, *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE)
