"""A server that cannot be reached for a long time is found soon after it is back."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from partner_vouchers.adapters.postgres import PostgresStorage, pool
from partner_vouchers.errors import StorageUnavailable
from tests.support.host import PATIENCE


def test_the_waits_between_two_tries_to_connect_do_not_grow_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "_LONGEST_PAUSE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        address = f"host=127.0.0.1 port={server.getsockname()[1]} sslmode=disable gssencmode=disable"
        storage = PostgresStorage(address, timeout=PATIENCE / 3)

        def ask() -> None:
            with storage.begin():
                pass

        asking = thread.submit(ask)
        with closing(storage):
            # If each wait were twice as long as the one before, so many tries would take an hour.
            deadline = time.monotonic() + PATIENCE
            for _ in range(12):
                server.settimeout(max(deadline - time.monotonic(), 0.001))
                server.accept()[0].close()
        with pytest.raises(StorageUnavailable):
            asking.result(PATIENCE)
