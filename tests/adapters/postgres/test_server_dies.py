"""The server is killed and restarted in the middle of uploads and assignments: nothing is lost or doubled."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from random import Random
from typing import TypeVar

import psycopg
import pytest

from partner_vouchers import PartnerVouchers, PerPartner, UploadStatus
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.pipeline import Pipeline
from partner_vouchers.errors import (
    CodesExhausted,
    CommitOutcomeUnknown,
    FileAlreadyUploaded,
    StorageBusy,
    StorageUnavailable,
    UploadInterrupted,
    UploadRunning,
)
from tests.concurrency.state import checked, codes_like, csv_file, new_list
from tests.support.host import PATIENCE
from tests.support.postgres import Server
from tests.support.postgres import server as shared_server

T = TypeVar("T")

TYPED = (StorageUnavailable, CommitOutcomeUnknown, StorageBusy)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which writes to disk as in earnest."""
    started = Server()
    yield started
    started.remove()


def insist(call: Callable[[], T], met: Counter[str]) -> T:
    """Do what a caller does who has an idempotency key: repeat until there is an answer."""
    while True:
        try:
            return call()
        except TYPED as error:
            met[error.code] += 1
            time.sleep(0.02)


def test_a_server_that_dies_again_and_again_loses_and_doubles_nothing(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "partner_vouchers.transactions")
    chance = Random(5)
    storage = PostgresStorage(own_server.conninfo, timeout=PATIENCE)
    storage.migrate()
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    codes = codes_like("PM", 3000)
    list_id = new_list(vouchers, "sale", codes)
    other = new_list(vouchers, "vip", [])
    vouchers.campaigns.link(list_id, "CMP1")
    met: Counter[str] = Counter()
    finished = threading.Event()

    def ask(name: str) -> dict[str, str]:
        told: dict[str, str] = {}
        while not finished.is_set():
            user = f"{name}-{len(told)}"
            told[user] = insist(
                lambda user=user: vouchers.codes.assign(  # type: ignore[misc]
                    campaign_id="CMP1", user_id=user, idempotency_key=f"key {user}"
                ),
                met,
            ).code
        return told

    def upload() -> list[str]:
        """Upload one file after the other, each until it is there."""
        uploaded: list[str] = []
        while not finished.is_set():
            mine = codes_like(f"NEW{len(uploaded)}", 4000)
            while not bring(mine):
                pass
            uploaded += mine
        return uploaded

    def bring(mine: list[str]) -> bool:
        try:
            done = vouchers.uploads.add(other, csv_file(mine), filename="new.csv", uploaded_by="ops")
        except FileAlreadyUploaded:
            # It was finished by the recovery.
            return True
        except (*TYPED, UploadRunning, UploadInterrupted) as error:
            met[error.code] += 1
            insist(vouchers.uploads.recover, met)
            return False
        return done.status is UploadStatus.COMPLETED

    with ThreadPoolExecutor(4) as threads:
        askers = [threads.submit(ask, f"user-{number}") for number in range(3)]
        uploader = threads.submit(upload)
        try:
            kill = partial(own_server.kill, children=False)
            for die in (own_server.crash, kill, own_server.crash, own_server.crash):
                time.sleep(chance.uniform(0.2, 0.7))
                die()
            time.sleep(0.3)
        finally:
            finished.set()
        told = {user: code for asker in askers for user, code in asker.result(PATIENCE).items()}
        uploaded = uploader.result(PATIENCE)
    insist(vouchers.uploads.recover, met)
    again = len(caplog.records)
    print(len(told), "given,", len(uploaded), "uploaded, met", dict(met), "and", again, "done again")
    state = checked(vouchers, storage, list_id)
    assert {assignment.user_id: assignment.code for assignment in state.given} == told
    assert sorted(state.codes) == codes
    assert sorted(checked(vouchers, storage, other).left) == sorted(uploaded)
    assert again + met.total() > 0
    storage.close()


def test_idle_connections_that_broke_are_replaced_without_the_caller_noticing(own_server: Server) -> None:
    with closing(PostgresStorage(own_server.conninfo)) as storage:
        storage.migrate()
        vouchers = PartnerVouchers(storage)
        list_id = new_list(vouchers, "sale", codes_like("PM", 50))
        with ThreadPoolExecutor(6) as threads:
            list(
                threads.map(
                    lambda user: vouchers.codes.assign(list_id=list_id, user_id=user), map(str, range(12))
                )
            )
        own_server.crash()
        assert vouchers.codes.assign(list_id=list_id, user_id="ann").code == "PM-000012"


def test_a_connection_that_is_lost_in_the_middle_is_a_typed_error_and_nothing_is_stored(
    storage: PostgresStorage,
) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "sale", codes_like("PM", 3))

    def assign_and_lose(statement: str) -> None:
        with storage.begin() as tx:
            tx.codes.take(list_id, 1)
            (pid,) = tx.session.execute("SELECT pg_backend_pid()").fetchall()[0]
            terminate(pid, storage)
            if statement == "commit":
                tx.commit()
            tx.codes.take(list_id, 1)

    with pytest.raises(StorageUnavailable):
        assign_and_lose("take")
    # The server had not been asked to commit, but from here that looks the same.
    with pytest.raises((CommitOutcomeUnknown, StorageUnavailable)):
        assign_and_lose("commit")
    assert [
        vouchers.codes.assign(list_id=list_id, user_id=user).code for user in ("a", "b", "c")
    ] == codes_like("PM", 3)
    with pytest.raises(CodesExhausted):
        vouchers.codes.assign(list_id=list_id, user_id="d")


def terminate(pid: int, storage: PostgresStorage) -> None:
    """End a connection of the storage, and wait until the server has done so."""
    with storage.begin(write=False) as tx:
        tx.session.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,)).fetchall()


def test_a_commit_whose_answer_was_lost_says_so(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "sale", codes_like("PM", 3))
    commit = Pipeline.commit

    def lose_the_answer(pipeline: Pipeline) -> bytes | None:
        commit(pipeline)
        monkeypatch.undo()
        pipeline.connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def ask() -> str:
        return vouchers.codes.assign(list_id=list_id, user_id="ann", idempotency_key="order-1").code

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "commit", lose_the_answer)
        with pytest.raises(CommitOutcomeUnknown, match="idempotency key"):
            ask()
    assert ask() == "PM-000000"
    assert vouchers.lists.get(list_id).distributed == 1


def test_connections_that_the_server_ended_because_they_were_idle(schema: str) -> None:
    conninfo = f"{shared_server().conninfo} options='-c idle_session_timeout=50'"
    with closing(PostgresStorage(conninfo, schema=schema)) as storage:
        vouchers = PartnerVouchers(storage)
        list_id = new_list(vouchers, "A", codes_like("A", 3))
        for user in ("ann", "bob", "cid"):
            time.sleep(0.2)
            vouchers.codes.assign(list_id=list_id, user_id=user)
        assert len(checked(vouchers, storage, list_id).given) == 3
