from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.errors import HostTransactionError, InvalidInput, PartnerExists
from partner_vouchers.ports import Storage

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
            # The call had begun, so it went on to its end.
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
