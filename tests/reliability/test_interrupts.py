"""A signal handler raises at any instruction of a call: nothing is half done, and the next calls work."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from partner_vouchers import UploadStatus
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.events import ListEdited
from partner_vouchers.domain.promo_events import VoucherRewarded
from tests.support.host import PATIENCE, FixedClock, Host, some_codes
from tests.support.interrupts import AROUND_TRANSACTIONS, interrupted_at
from tests.support.scratch import tmp_path as tmp_path


class Tried(Protocol):
    """Makes calls, each interrupted at another instruction."""

    def __call__(self, call: Callable[[int], BaseException | None], step: int = 1) -> None: ...


SAMPLE = 30
"""How many instructions of a call the quick suite tries."""


@pytest.fixture(params=["memory", "sqlite"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "memory":
        yield Host(MemoryStorage(), FixedClock())
        return
    storage = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL", busy_timeout=5)
    yield Host(storage, FixedClock())
    storage.close()


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.deep)], ids=["sample", "all"])
def tried(request: pytest.FixtureRequest) -> Tried:
    """Try a call with each of its instructions, or every `step`-th one, or with a few."""

    def try_some(call: Callable[[int], BaseException | None], step: int = 1) -> None:
        if request.param:
            instruction = step
            while call(instruction) is not None:
                instruction += step
            return
        # The first ones and the last ones, where transactions begin and end, and some in between.
        last = 1
        while call(last * 2) is not None:
            last *= 2
        chosen = random.Random(SAMPLE)
        for _ in range(SAMPLE):
            call(chosen.randrange(1, 2 * last))

    return try_some


def everybody_goes_on(host: Host, list_id: str) -> None:
    """This thread's next call works, and then another thread's."""
    (code,) = host.give(list_id, f"user of {host.vouchers.lists.get(list_id).distributed}")
    with ThreadPoolExecutor(1) as threads:
        (other,) = threads.submit(
            host.give, list_id, f"user of {host.vouchers.lists.get(list_id).distributed}"
        ).result(PATIENCE)
    assert code != other


def nothing_is_half_done(host: Host, list_id: str) -> None:
    """Each code that was taken has one assignment and one event."""
    held = list(host.vouchers.codes.assignments(list_id))
    assert len({one.code for one in held}) == len(held) == host.vouchers.lists.get(list_id).distributed
    assert len(host.events(VoucherRewarded)) == len(held)


def test_an_assignment_is_made_whole_or_not_at_all(host: Host, tried: Tried) -> None:
    found = host.a_list(*some_codes(60_000), campaign="CMP")
    numbers = iter(range(60_000))

    def call(instruction: int) -> BaseException | None:
        user = f"ann {next(numbers)}"

        def assign() -> str:
            return host.vouchers.codes.assign(campaign_id="CMP", user_id=user, idempotency_key=user).code

        before = host.vouchers.lists.get(found.id).distributed
        interrupt = interrupted_at(instruction, assign)
        if interrupt is not None and instruction % 2:
            # The exception is still being handled.
            everybody_goes_on(host, found.id)
            before += 2
        made = host.vouchers.lists.get(found.id).distributed - before
        assert made in (0, 1)
        code = assign()
        assert host.vouchers.lists.get(found.id).distributed == before + 1
        assert [held.code for held in host.vouchers.codes.of_user(user)] == [code]
        return interrupt

    tried(call)
    everybody_goes_on(host, found.id)
    nothing_is_half_done(host, found.id)


def test_a_change_of_a_list_is_made_whole_or_not_at_all(host: Host, tried: Tried) -> None:
    found = host.a_list(*some_codes(30_000))
    names = iter(f"Name {number}" for number in range(60_000))

    def call(instruction: int) -> BaseException | None:
        before = host.vouchers.lists.get(found.id)
        name = next(names)
        interrupt = interrupted_at(instruction, lambda: host.vouchers.lists.edit(found.id, name=name))
        after = host.vouchers.lists.get(found.id)
        assert after.version == before.version + (after.name == name)
        everybody_goes_on(host, found.id)
        return interrupt

    tried(call, step=5)
    assert len(host.events(ListEdited)) == host.vouchers.lists.get(found.id).version - 1


def test_reading_keeps_nobody_waiting(host: Host, tried: Tried) -> None:
    found = host.a_list(*some_codes(30_000))

    def call(instruction: int) -> BaseException | None:
        interrupt = interrupted_at(instruction, lambda: host.vouchers.lists.get(found.id))
        everybody_goes_on(host, found.id)
        return interrupt

    tried(call, step=5)


@pytest.mark.timeout(1800)
def test_an_upload_is_made_whole_or_not_at_all(host: Host, tried: Tried) -> None:
    found = host.a_list(*some_codes(10_000), expires_at=datetime(2100, 1, 1, tzinfo=UTC))
    left = [f"{prefix}{number}" for prefix in "XYZ" for number in range(10_000)]

    def call(instruction: int) -> BaseException | None:
        code, taken = left.pop(), left.pop()
        interrupt = interrupted_at(
            instruction, lambda: host.upload(found.id, code, "PM000000", taken), AROUND_TRANSACTIONS
        )
        everybody_goes_on(host, found.id)
        host.clock.advance(hours=1)
        host.vouchers.uploads.recover()
        counts = host.vouchers.lists.get(found.id)
        assert all(
            entry.status is not UploadStatus.IN_PROGRESS
            for entry in host.vouchers.uploads.find(list_id=found.id)
        )
        if interrupt is None:
            assert host.vouchers.uploads.explain_duplicate(found.id, code) is not None
        elif host.vouchers.uploads.explain_duplicate(found.id, code) is None:
            # Nothing of it is left: it can be uploaded again.
            host.upload(found.id, code, taken)
        assert counts.uploaded <= 10_000 + 30_000
        assert host.vouchers.uploads.explain_duplicate(found.id, taken) is not None
        return interrupt

    tried(call, step=250)


def test_a_hosts_transaction_goes_on(host: Host, tried: Tried, tmp_path: Path) -> None:
    found = host.a_list(*some_codes(60_000), campaign="CMP")
    numbers = iter(range(60_000))

    def within(connection: Any, commit: Callable[[], None], instruction: int) -> BaseException | None:
        user = f"ann {next(numbers)}"

        def assign() -> str:
            return (
                host.vouchers.using(connection)
                .codes.assign(campaign_id="CMP", user_id=user, idempotency_key=user)
                .code
            )

        interrupt = interrupted_at(instruction, assign)
        # The host catches the exception, and its transaction goes on.
        code = assign()
        commit()
        assert [held.code for held in host.vouchers.codes.of_user(user)] == [code]
        everybody_goes_on(host, found.id)
        return interrupt

    def call(instruction: int) -> BaseException | None:
        if isinstance(host.storage, MemoryStorage):
            with host.storage.begin() as tx:
                return within(tx, tx.commit, instruction)
        with closing(sqlite3.connect(tmp_path / "vouchers.db")) as connection:
            return within(connection, connection.commit, instruction)

    tried(call, step=5)
    nothing_is_half_done(host, found.id)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
@pytest.mark.parametrize("place", ["memory", "sqlite"])
@pytest.mark.parametrize("alarms", [30, pytest.param(500, marks=pytest.mark.deep)])
def test_an_alarm_may_go_off_at_any_time(tmp_path: Path, place: str, alarms: int) -> None:
    where = "memory" if place == "memory" else str(tmp_path / "alarms.db")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.reliability.alarms", where, str(alarms)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    struck, calls = map(int, ran.stdout.split())
    assert alarms <= struck <= calls


def test_a_leader_of_a_shared_commit_loses_its_own_call_alone(tmp_path: Path, tried: Tried) -> None:
    storage = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL", busy_timeout=5)
    host = Host(storage, FixedClock())
    found = host.a_list(*some_codes(60_000))
    numbers = iter(range(60_000))

    def assign(user: str) -> str:
        return host.vouchers.codes.assign(list_id=found.id, user_id=user, idempotency_key=user).code

    with ThreadPoolExecutor(4) as threads:

        def call(instruction: int) -> BaseException | None:
            first, *others = (f"user {next(numbers)}" for _ in range(4))
            with storage.begin():
                last = storage._connections.writers._last
                # The leader waits first; the instructions of its waiting are counted too.
                leads = threads.submit(interrupted_at, instruction, lambda: assign(first))
                while last.after.get(None) is None and not leads.done():
                    pass
                given = [threads.submit(assign, user) for user in others]
            codes = [future.result(PATIENCE) for future in given]
            interrupt = leads.result(PATIENCE)
            codes.append(assign(first))
            assert len(set(codes)) == 4
            assert [assign(user) for user in others] == codes[:3]
            return interrupt

        tried(call, step=5)
    nothing_is_half_done(host, found.id)
    storage.close()
