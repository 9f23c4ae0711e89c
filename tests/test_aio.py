from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import HostTransactionError, InvalidInput, PartnerExists
from partner_vouchers.ports import Storage
from tests.support.awaits import cancelled_at

EXPIRY = datetime(2199, 1, 1, tzinfo=UTC)
SYNC = PartnerVouchers(MemoryStorage())
GROUPS = [name for name, value in vars(SYNC).items() if not name.startswith("_")]


async def with_codes(vouchers: AsyncPartnerVouchers, count: int) -> str:
    await vouchers.partners.add("Puma")
    winter = await vouchers.lists.create(partner="Puma", tag="winter", name="Winter", expires_at=EXPIRY)
    codes = "\n".join(f"CODE-{number:05}" for number in range(count))
    await vouchers.uploads.add(winter.id, codes.encode(), filename="c.csv", uploaded_by="ops")
    return winter.id


@pytest.mark.parametrize("group", GROUPS)
def test_each_method_of_a_group_is_a_coroutine_function_or_an_async_iterator(group: str) -> None:
    methods = {
        name
        for name, _ in inspect.getmembers(type(getattr(SYNC, group)), inspect.isfunction)
        if not name.startswith("_")
    }
    found = getattr(AsyncPartnerVouchers(MemoryStorage()), group)
    for name in sorted(methods):
        method = getattr(type(found), name)
        assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method), name
        assert inspect.signature(method) == inspect.signature(getattr(type(getattr(SYNC, group)), name)), name
        assert method.__doc__ == getattr(type(getattr(SYNC, group)), name).__doc__


def test_many_tasks_get_each_code_once(tmp_path: Path) -> None:
    async def main(storage: Storage) -> None:
        async with AsyncPartnerVouchers(storage) as vouchers:
            list_id = await with_codes(vouchers, 200)
            rewards = await asyncio.gather(
                *(vouchers.codes.assign(list_id=list_id, user_id=f"user-{number}") for number in range(200))
            )
            assert len({reward.code for reward in rewards}) == 200
            assigned = [each.code async for each in vouchers.codes.assignments(list_id)]
            assert sorted(assigned) == sorted(reward.code for reward in rewards)
            exported = b"".join([chunk async for chunk in vouchers.codes.export(list_id)])
            assert exported.count(b"CODE-") == 200

    asyncio.run(main(MemoryStorage()))
    storage = SQLiteStorage(tmp_path / "vouchers.db")
    asyncio.run(main(storage))
    storage.close()


def test_calls_never_run_on_the_event_loop_and_are_bounded() -> None:
    running, most, lock = 0, 0, threading.Lock()
    loop_thread = threading.get_ident()

    def clock() -> datetime:
        nonlocal running, most
        assert threading.get_ident() != loop_thread
        with lock:
            running += 1
            most = max(most, running)
        entered.wait(timeout=0.05)
        with lock:
            running -= 1
        return datetime(2026, 11, 28, tzinfo=UTC)

    entered = threading.Event()

    async def main() -> None:
        async with AsyncPartnerVouchers(MemoryStorage(), clock=clock, max_workers=3) as vouchers:
            await asyncio.gather(*(vouchers.partners.add(f"Partner {number}") for number in range(12)))

    asyncio.run(main())
    assert 1 <= most <= 3


def test_a_cancelled_call_leaves_the_library_usable() -> None:
    release = threading.Event()
    waiting = threading.Event()

    def clock() -> datetime:
        waiting.set()
        release.wait(timeout=30)
        return datetime(2026, 11, 28, tzinfo=UTC)

    async def main() -> None:
        async with AsyncPartnerVouchers(MemoryStorage(), clock=clock) as vouchers:
            call = asyncio.create_task(vouchers.partners.add("Puma"))
            await asyncio.to_thread(waiting.wait, 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            release.set()
            assert (await vouchers.partners.add("Amazon")).name == "Amazon"
            # The call had begun, so it goes on to its end.
            await vouchers.aclose()
            with pytest.raises(PartnerExists):
                await vouchers.partners.add("Puma")

    asyncio.run(main())


def test_one_object_serves_several_event_loops() -> None:
    vouchers = AsyncPartnerVouchers(MemoryStorage())
    asyncio.run(vouchers.partners.add("Puma"))
    assert [found.name for found in asyncio.run(vouchers.partners.all())] == ["Puma"]
    asyncio.run(vouchers.aclose())


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "4"])
def test_the_number_of_workers_is_a_whole_number(workers: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        AsyncPartnerVouchers(MemoryStorage(), max_workers=workers)
    assert refused.value.field == "max_workers"


def test_a_synchronous_connection_is_refused() -> None:
    with pytest.raises(HostTransactionError, match="AsyncSession"):
        AsyncPartnerVouchers(MemoryStorage()).using(object())


@pytest.mark.parametrize(
    "session", [None, 1, "session", PartnerVouchers(MemoryStorage()), AsyncPartnerVouchers], ids=repr
)
def test_what_is_no_session_is_refused(session: object) -> None:
    with pytest.raises(HostTransactionError, match="AsyncSession"):
        AsyncPartnerVouchers(MemoryStorage()).using(session)


def test_a_closed_object_starts_new_threads() -> None:
    vouchers = AsyncPartnerVouchers(MemoryStorage())

    async def main() -> None:
        await vouchers.partners.add("Puma")
        await vouchers.aclose()
        await vouchers.aclose()
        assert [found.name for found in await vouchers.partners.all()] == ["Puma"]
        await vouchers.aclose()

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() == before


def test_two_event_loops_at_once_share_one_object() -> None:
    async def main(storage: Storage) -> None:
        vouchers = AsyncPartnerVouchers(storage)
        list_id = await with_codes(vouchers, 60)
        given = list[str]()

        async def serve(loop: int) -> None:
            rewards = await asyncio.gather(
                *(vouchers.codes.assign(list_id=list_id, user_id=f"user-{loop}-{each}") for each in range(20))
            )
            given.extend(reward.code for reward in rewards)

        threads = [threading.Thread(target=asyncio.run, args=(serve(loop),)) for loop in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert len(set(given)) == 60
        await vouchers.aclose()

    asyncio.run(main(MemoryStorage()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_threads_of_its_own(tmp_path: Path) -> None:
    script = """
import asyncio, os, sys
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers

vouchers = AsyncPartnerVouchers(SQLiteStorage(sys.argv[1]))

async def all_at_once(who):
    await asyncio.gather(*(vouchers.partners.add(f"{who} {each}") for each in range(8)))

asyncio.run(all_at_once("before"))
children = []
for number in range(3):
    child = os.fork()
    if not child:
        asyncio.run(asyncio.wait_for(all_at_once(f"child {number}"), 30))
        asyncio.run(vouchers.aclose())
        sys.exit(0)
    children.append(child)
asyncio.run(all_at_once("parent"))
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(len(asyncio.run(vouchers.partners.all())))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "vouchers.db")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("40\n", 0), done.stderr


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_call_that_is_cancelled_at_any_await_leaves_no_transaction_open(kind: str, tmp_path: Path) -> None:
    storage = MemoryStorage() if kind == "memory" else SQLiteStorage(tmp_path / "vouchers.db", busy_timeout=2)

    async def main() -> None:
        async with AsyncPartnerVouchers(storage) as vouchers:
            list_id = await with_codes(vouchers, 100)
            calls: list[Callable[[str], Coroutine[Any, Any, object]]] = [
                lambda user: vouchers.codes.assign(list_id=list_id, user_id=user, idempotency_key=user),
                lambda user: read_to_the_end(vouchers.codes.export(list_id)),
                lambda user: read_to_the_end(vouchers.codes.assignments(list_id)),
            ]
            for call in calls:
                cancelled = 0
                while True:
                    user = f"user-{cancelled}"
                    task = asyncio.create_task(cancelled_at(cancelled + 1, call(user)))
                    await asyncio.wait([task])
                    if not task.cancelled():
                        break
                    cancelled += 1
                assert cancelled
                # With the same key the repeat gets the code of the first call, if that was committed.
                reward = await vouchers.codes.assign(
                    list_id=list_id, user_id="user-0", idempotency_key="user-0"
                )
                assert reward.user_id == "user-0"
            await vouchers.aclose()
            given = [each.user_id async for each in vouchers.codes.assignments(list_id)]
            assert len(given) == len(set(given))
        # From another thread: nothing is locked.
        PartnerVouchers(storage).partners.add("Amazon")

    asyncio.run(main())


async def read_to_the_end(items: AsyncIterator[object]) -> None:
    async for _ in items:
        pass
