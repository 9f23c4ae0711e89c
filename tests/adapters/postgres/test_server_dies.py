"""The server is killed and restarted in the middle of uploads and assignments: nothing is lost or doubled."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import TypeVar

import pytest

from partner_vouchers import PartnerVouchers, PerPartner, UploadStatus
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import (
    CommitOutcomeUnknown,
    FileAlreadyUploaded,
    StorageBusy,
    StorageUnavailable,
    UploadInterrupted,
    UploadRunning,
)
from tests.concurrency.state import checked, codes_like, new_list
from tests.support.host import PATIENCE, a_file
from tests.support.postgres import Server

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


@pytest.mark.deep
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
            done = vouchers.uploads.add(other, a_file(*mine), filename="new.csv", uploaded_by="ops")
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
