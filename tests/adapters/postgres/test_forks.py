"""After `fork` the parent keeps its connections and leases, and the child opens connections of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import UploadRunning
from tests.concurrency.state import codes_like, new_list
from tests.support.forks import Child, in_child
from tests.support.host import PATIENCE, FixedClock, Host, a_file, wait_until
from tests.support.postgres import connections_of, server

HOUR = timedelta(hours=1)


@contextmanager
def a_pool(conninfo: str) -> Iterator[str | ConnectionPool[Any]]:
    with ConnectionPool(conninfo, min_size=2, max_size=5, open=True) as pool:
        # Until it has opened its connections: tests look which ones there are.
        pool.wait()
        yield pool


@pytest.fixture(params=["its own", pytest.param("the host's", marks=pytest.mark.deep)])
def storage(request: pytest.FixtureRequest, schema: str) -> Iterator[PostgresStorage]:
    """A storage with each kind of pool, whose connections the server can tell by the name of the schema."""
    conninfo = make_conninfo(server().conninfo, application_name=schema)
    if request.param == "its own":
        with closing(PostgresStorage(conninfo, schema=schema, timeout=10)) as opened:
            yield opened
    else:
        with a_pool(conninfo) as pool:
            yield PostgresStorage(pool, schema=schema)


def test_a_transaction_of_the_parent_goes_on(storage: PostgresStorage, schema: str) -> None:
    host = Host(storage, FixedClock())
    list_id = host.a_list("A", "B", "C").id
    with storage.begin() as tx:
        tx.keys.put("order-991", "asked", ())
        before = set(connections_of(schema))
        assert in_child(lambda: host.give(list_id, "ann", "bob")) == ["A", "B"]
        assert before <= set(connections_of(schema))
        tx.commit()
    with storage.begin(write=False) as tx:
        assert tx.keys.get("order-991") is not None
    assert host.give(list_id, "cid") == ["C"]
    # The child's connections ended with it, and the parent's are those from before.
    wait_until(lambda: set(connections_of(schema)) <= before)


def take(storage: PostgresStorage, name: str, owner: str) -> bool:
    clock = FixedClock()
    with storage.begin() as tx:
        taken = tx.leases.take(name, owner, clock(), clock() + HOUR)
        tx.commit()
    return taken


def test_the_parent_keeps_its_leases(storage: PostgresStorage) -> None:
    assert take(storage, "relay", "parent")

    def child() -> tuple[bool, bool]:
        return take(storage, "relay", "child"), take(storage, "another", "child")

    assert in_child(child) == (False, True)
    # That of the child ended with it.
    wait_until(lambda: take(storage, "another", "parent"))
    with storage.begin() as tx:
        assert tx.leases.held("relay", "parent")
    assert in_child(lambda: take(storage, "relay", "child")) is False


def test_a_parent_that_dies_is_known_to_be_dead_while_its_child_lives(
    storage: PostgresStorage, schema: str
) -> None:
    reading, writing = os.pipe()

    def parent() -> None:
        assert take(storage, "relay", "parent")
        Child(lambda: time.sleep(PATIENCE) if os.write(writing, b"%d\n" % os.getpid()) else None)
        time.sleep(PATIENCE)

    parent_process = Child(parent)
    grandchild = int(os.read(reading, 99))
    try:
        assert not take(storage, "relay", "other")
        parent_process.kill()
        wait_until(lambda: take(storage, "relay", "other"))
    finally:
        os.kill(grandchild, 9)
        os.close(reading)
        os.close(writing)


def test_an_upload_of_the_parent_goes_on(storage: PostgresStorage) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "sale", [])
    other = new_list(vouchers, "vip", [])
    told: list[tuple[int, bool]] = []

    def child() -> tuple[int, bool]:
        done = vouchers.uploads.add(other, a_file(*codes_like("B", 9)), filename="b.csv", uploaded_by="ops")
        try:
            vouchers.uploads.add(list_id, b"X\n", filename="x.csv", uploaded_by="ops")
        except UploadRunning:
            return done.accepted, True
        return done.accepted, False

    def progress(_: object) -> None:
        if not told:
            told.append(in_child(child))

    codes = codes_like("A", 30_000)
    done = vouchers.uploads.add(
        list_id, a_file(*codes), filename="a.csv", uploaded_by="ops", progress=progress
    )
    assert (done.accepted, told) == (30_000, [(9, True)])
    assert vouchers.codes.assign(list_id=other, user_id="ann").code == "B-000000"


def test_forks_while_other_threads_are_given_codes(storage: PostgresStorage) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "sale", codes_like("A", 3_000))
    stop = threading.Event()
    given: list[str] = []

    def ask(name: str) -> None:
        while not stop.is_set():
            user = f"{name}-{len(given)}-{time.monotonic_ns()}"
            given.append(vouchers.codes.assign(list_id=list_id, user_id=user).code)

    threads = [threading.Thread(target=ask, args=(f"thread-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            given += in_child(
                lambda number=number: [  # type: ignore[misc]
                    vouchers.codes.assign(list_id=list_id, user_id=f"child-{number}-{each}").code
                    for each in range(5)
                ]
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(given) == len(set(given)) == vouchers.lists.get(list_id).distributed
