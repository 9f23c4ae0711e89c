"""Threads that write at the same time share one durable commit, and nothing else."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage, group_commit
from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.domain.promo_events import PointsCredited, VoucherRewarded
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import NoCodeAvailable, StorageBusy, StorageFull, StorageReplaced
from tests.adapters.sqlite.conftest import Start, each_connection
from tests.support.host import PATIENCE, FixedClock, Host, some_codes

THREADS = 8

Task = Callable[[], Any]


class Interrupt(BaseException):
    """What ends a call from outside."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow: a leader runs all that waits."""
    monkeypatch.setattr(group_commit, "_LEAD_SECONDS", PATIENCE)


def at_once(storage: SQLiteStorage, *tasks: Task) -> list[Future[Any]]:
    """Let all tasks queue, in their order, before the first one may begin."""
    with ThreadPoolExecutor(len(tasks)) as threads:
        with storage.begin():
            first = storage._connections.writers._last
            futures: list[Future[Any]] = []
            for number, task in enumerate(tasks, 1):
                futures.append(threads.submit(task))
                while queued(first) < number and not futures[-1].done():
                    time.sleep(0.0005)
        return futures


def queued(first: Any) -> int:
    count, place = 0, first.after.get(None)
    while place is not None:
        count, place = count + 1, place.after.get(None)
    return count


@contextmanager
def commits(storage: SQLiteStorage) -> Iterator[list[str]]:
    """Gather the commits."""
    made: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            made.append(statement)

    with each_connection(storage, lambda connection: connection.set_trace_callback(note)):
        yield made


def give(host: Host, list_id: str, user: str) -> Task:
    return lambda: host.give(list_id, user)[0]


def users(count: int) -> list[str]:
    return [f"user-{number}" for number in range(count)]


def test_calls_that_wait_share_one_commit_in_their_order(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    with commits(storage) as made:
        given = at_once(storage, *(give(host, found.id, user) for user in users(THREADS)))
        assert [future.result() for future in given] == some_codes(THREADS)
    assert len(made) == 1
    assert host.vouchers.lists.get(found.id).distributed == THREADS


@pytest.mark.parametrize("place", [0, 2])
def test_a_refusal_is_of_its_own_caller_also_if_it_leads(
    host: Host, storage: SQLiteStorage, place: int
) -> None:
    found, empty = host.a_list(*some_codes(20)), host.a_list()
    tasks = [give(host, found.id, user) for user in users(4)]
    tasks.insert(place, give(host, empty.id, "zoe"))
    given = at_once(storage, *tasks)
    with pytest.raises(NoCodeAvailable):
        given.pop(place).result()
    assert [future.result() for future in given] == some_codes(4)


def test_one_key_used_by_all_has_one_result(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))

    def assign() -> str:
        return host.vouchers.codes.assign(list_id=found.id, user_id="ann", idempotency_key="k").code

    assert {future.result() for future in at_once(storage, *[assign] * THREADS)} == {"PM000000"}
    assert host.vouchers.lists.get(found.id).distributed == 1


def test_calls_of_every_kind_share_a_commit(host: Host, storage: SQLiteStorage) -> None:
    vouchers = host.vouchers
    found = host.a_list(*some_codes(20), campaign="CMP")
    first, second = (vouchers.codes.assign(list_id=found.id, user_id=user) for user in ("ann", "ben"))
    hour = timedelta(hours=1)
    kept, given_back = (
        vouchers.codes.reserve(list_id=found.id, user_id=user, ttl=hour) for user in ("cleo", "dan")
    )
    paid = PointsCredited(
        user_id="ann", occurred_at=host.clock.now, wallet_id="W", source="API", points=5, transaction_id="T"
    )
    with commits(storage) as made:
        done = at_once(
            storage,
            lambda: vouchers.codes.reserve(campaign_id="CMP", user_id="eve", ttl=hour),
            lambda: vouchers.codes.confirm(kept.id),
            lambda: vouchers.codes.release(given_back.id),
            lambda: vouchers.codes.revoke(first.id),
            lambda: vouchers.redemptions.add(second.code, order_id="order-1"),
            lambda: vouchers.codes.assign_many(["fay", "gus"], list_id=found.id),
            lambda: vouchers.events.emit(paid),
            lambda: vouchers.lists.edit(found.id, name="Summer"),
            lambda: vouchers.partners.add("Nike"),
        )
        for future in done:
            future.result()
    assert len(made) == 1
    counts = vouchers.lists.get(found.id)
    assert (counts.name, counts.reserved, counts.distributed, counts.retired) == ("Summer", 1, 4, 1)
    assert [type(event) for event in host.events(PointsCredited)] == [PointsCredited]
    assert vouchers.codes.confirm(kept.id).replayed


def test_one_thread_alone_commits_at_once(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    with commits(storage) as made:
        assert [host.give(found.id, user) for user in users(3)] == [[code] for code in some_codes(3)]
    assert len(made) == 3


def takes(storage: SQLiteStorage, list_id: str, then: Callable[[SQLiteTransaction], object]) -> Task:
    """Return a call that takes a code of a list in a shared transaction, and then does something."""

    def take(tx: SQLiteTransaction) -> str:
        code = tx.codes.take(list_id, 1).codes[0].code
        then(tx)
        return code

    return lambda: storage.run_shared(take)


def commit(tx: SQLiteTransaction) -> None:
    tx.commit()


def test_a_fault_of_one_function_is_seen_by_its_own_thread_alone(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    threads: list[str] = []

    def fail(_tx: SQLiteTransaction) -> None:
        threads.append(threading.current_thread().name)
        raise ZeroDivisionError

    tasks = [takes(storage, found.id, commit) for _ in range(5)]
    tasks[2] = takes(storage, found.id, fail)
    given = at_once(storage, *tasks)
    with pytest.raises(ZeroDivisionError):
        given.pop(2).result()
    assert sorted(future.result() for future in given) == some_codes(4)
    # The last attempt was made by its own thread.
    assert len(threads) > 1


@pytest.mark.parametrize("kind", [Interrupt, TimeoutError])
def test_an_interrupt_ends_the_leaders_call_and_the_others_run_again(
    host: Host, storage: SQLiteStorage, kind: type[BaseException]
) -> None:
    found = host.a_list(*some_codes(20))
    interrupts = [kind()]

    def interrupt_once(tx: SQLiteTransaction) -> None:
        if interrupts:
            raise interrupts.pop()
        tx.commit()

    tasks = [takes(storage, found.id, commit) for _ in range(5)]
    tasks[3] = takes(storage, found.id, interrupt_once)
    given = at_once(storage, *tasks)
    with pytest.raises(kind):
        given.pop(0).result()
    assert [future.result() for future in given] == some_codes(4)
    assert host.vouchers.lists.get(found.id).distributed == 4


def test_a_function_that_does_not_commit_leaves_nothing(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    tasks = [takes(storage, found.id, commit) for _ in range(4)]
    tasks[2] = takes(storage, found.id, lambda _tx: None)
    given = [future.result() for future in at_once(storage, *tasks)]
    assert given[:2] + given[3:] == some_codes(3)
    assert host.vouchers.lists.get(found.id).distributed == 3


def test_a_shared_commit_that_fails_is_the_error_of_all(
    host: Host, storage: SQLiteStorage, database: Path
) -> None:
    found = host.a_list(*some_codes(20))
    tasks = [takes(storage, found.id, commit) for _ in range(4)]

    def move(tx: SQLiteTransaction) -> None:
        database.rename(database.with_name("away.db"))
        tx.commit()

    tasks[3] = takes(storage, found.id, move)
    given = at_once(storage, *tasks)
    errors = [future.exception() for future in given]
    assert {type(error) for error in errors} == {StorageReplaced}
    assert len({id(error) for error in errors}) == 4
    database.with_name("away.db").rename(database)
    assert host.vouchers.lists.get(found.id).distributed == 0


def test_a_disk_that_is_full_stores_nothing_of_any(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    codes = some_codes(5000, "W")

    def fill(tx: SQLiteTransaction) -> None:
        tx.db.executemany("INSERT INTO pv_partners VALUES (?, 0)", [(code * 20,) for code in codes])
        tx.commit()

    with storage.begin(write=False) as tx:
        (pages,) = tx.db.execute("PRAGMA page_count").fetchone()

    def limit(connection: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    with each_connection(storage, limit):
        tasks = [takes(storage, found.id, commit) for _ in range(3)]
        tasks[1] = takes(storage, found.id, fill)
        given = at_once(storage, *tasks)
        with pytest.raises(StorageFull):
            given[1].result()
    # The first one led, and lost its transaction; the last one may have run again.
    kept = [future.result() for future in given if future.exception() is None]
    assert host.vouchers.lists.get(found.id).distributed == len(kept)
    assert kept == some_codes(len(kept))


def test_whoever_waits_too_long_gives_up(database: Path) -> None:
    storage = SQLiteStorage(database, synchronous="NORMAL", busy_timeout=0.1)
    host = Host(storage, FixedClock())
    found = host.a_list("A")
    with ThreadPoolExecutor(2) as threads, storage.begin():
        for waits in [threads.submit(host.give, found.id, user) for user in ("ann", "ben")]:
            with pytest.raises(StorageBusy):
                waits.result(PATIENCE)
    assert host.give(found.id, "cleo") == ["A"]
    storage.close()


class WatchedHost:
    """A clock, a duplicate policy and an eligibility rule that note in which thread they are called."""

    name = "watched"

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.seen: Counter[tuple[str, int]] = Counter()

    def now(self) -> datetime:
        self._note("clock")
        return self.clock()

    def scope(self, voucher_list: VoucherList) -> str:
        self._note("policy")
        return f"{voucher_list.partner}/{voucher_list.tag}"

    def rule(self, _context: object) -> bool:
        self._note("rule")
        return True

    def _note(self, what: str) -> None:
        self.seen[what, threading.get_ident()] += 1


def test_what_the_host_passed_is_called_in_the_thread_of_its_caller(database: Path) -> None:
    storage = SQLiteStorage(database, synchronous="NORMAL")
    watched = WatchedHost()
    vouchers = PartnerVouchers(
        storage, clock=watched.now, duplicates=watched, eligibility={"all": watched.rule}
    )
    vouchers.partners.add("Puma")
    expires_at = watched.clock.now + timedelta(days=30)

    def create(tag: str) -> str:
        return vouchers.lists.create(partner="Puma", tag=tag, name="n", expires_at=expires_at).id

    list_id = create("first")
    vouchers.uploads.add(list_id, b"A\nB\nC\nD\n", filename="codes.csv", uploaded_by="ops")
    vouchers.campaigns.link(list_id, "CMP", eligibility="all")

    def of_this_thread(call: Callable[[], object]) -> Callable[[], int]:
        def run() -> int:
            call()
            return threading.get_ident()

        return run

    calls = {
        "rule": lambda: vouchers.codes.assign(campaign_id="CMP", user_id="ann"),
        "policy": lambda: create("second"),
        "clock": lambda: vouchers.lists.edit(list_id, name="Summer"),
    }
    watched.seen.clear()
    done = at_once(storage, *map(of_this_thread, calls.values()))
    threads = [future.result() for future in done]
    for what, thread in zip(calls, threads, strict=True):
        assert watched.seen[what, thread]
    # Each call looks at the clock once, in its own thread.
    assert [watched.seen["clock", thread] for thread in threads] == [1, 1, 1]
    assert {thread for what, thread in watched.seen if what == "rule"} == {threads[0]}
    assert {thread for what, thread in watched.seen if what == "policy"} == {threads[1]}
    storage.close()


def test_an_upload_between_calls_gets_its_turn(host: Host, storage: SQLiteStorage) -> None:
    found, other = host.a_list(*some_codes(20)), host.a_list()
    tasks = [give(host, found.id, user) for user in users(6)]
    tasks.insert(3, lambda: host.upload(other.id, *some_codes(50, "W")).accepted)
    given = at_once(storage, *tasks)
    assert given.pop(3).result() == 50
    assert sorted(future.result() for future in given) == some_codes(6)


def test_the_main_thread_runs_its_own_work_alone(host: Host, storage: SQLiteStorage) -> None:
    found = host.a_list(*some_codes(20))
    ran: dict[str, set[int]] = {}

    def noted(name: str) -> Callable[[SQLiteTransaction], None]:
        def work(tx: SQLiteTransaction) -> None:
            ran.setdefault(name, set()).add(threading.get_ident())
            tx.commit()

        return work

    def queue_others(tx: SQLiteTransaction) -> None:
        first = storage._connections.writers._last
        others.extend(threads.submit(takes(storage, found.id, noted(f"other {n}"))) for n in range(3))
        while queued(first) < 3:
            time.sleep(0.0005)
        noted("main")(tx)

    others: list[Future[Any]] = []
    with ThreadPoolExecutor(3) as threads:
        takes(storage, found.id, queue_others)()
        assert sorted(future.result(PATIENCE) for future in others) == some_codes(4)[1:]
    assert all(threading.get_ident() not in ran[f"other {n}"] for n in range(3))


@pytest.mark.parametrize("rounds", [1, pytest.param(60, marks=pytest.mark.deep)])
def test_what_threads_were_told_survives_the_death_of_their_process(
    host: Host, database: Path, start: Start, rounds: int
) -> None:
    chance = random.Random(rounds)
    found = host.a_list(*some_codes(400 * rounds))
    told: dict[str, str] = {}
    for number in range(rounds):
        process = start("give_in_threads", database, found.id, THREADS, 1000 * number)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(chance.randint(1, 200))]
        process.kill()
        said += process.stdout.readlines()
        more = dict(line.split() for line in said if line.endswith("\n"))
        assert not told.keys() & more.keys()
        told |= more
        held = {one.user_id: one.code for one in host.vouchers.codes.assignments(found.id)}
        assert len(set(held.values())) == len(held) == host.vouchers.lists.get(found.id).distributed
        assert told.items() <= held.items()
        # Each thread had at most one call in flight. Asking again with its key gives the same code.
        untold = held.keys() - told.keys()
        assert len(untold) <= THREADS
        for user in untold:
            reward = host.vouchers.codes.assign(list_id=found.id, user_id=user, idempotency_key=user)
            assert reward.code == held[user]
            told[user] = reward.code
    assert len(host.events(VoucherRewarded)) == len(told)
