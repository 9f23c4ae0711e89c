"""Relays in processes that are killed: each event arrives, in order, and twice only where an answer was lost."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from partner_vouchers import PartnerVouchers, PerPartner, RepeatPolicy
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.ports import OutboxEntry
from tests.concurrency.state import codes_like, new_list
from tests.concurrency.teams import PATIENCE
from tests.crash.victims import Victim

RELAYS = 3
AT_A_TIME = 4
USERS = 40


class Taken(NamedTuple):
    """A line of the file: the process and the number of its call, and the event."""

    process: str
    call: int
    position: int
    id: str
    key: str


def taken(file: Path) -> Iterator[Taken]:
    """Return what the sinks took, in this order."""
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        call, position, entry_id, key = line.split(" ", 3)
        process, _, number = call.partition(".")
        yield Taken(process, int(number), int(position), entry_id, key)


def kill_relays(directory: Path, seed: int, *, rounds: int, events: int) -> None:
    """Give out codes while relays run, kill some of these in each round, and let the last ones finish."""
    print("seed", seed)
    chance = random.Random(seed)
    path, file = directory / "vouchers.db", directory / "taken"
    storage = SQLiteStorage(path, synchronous="NORMAL")
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    list_id = new_list(vouchers, "sale", codes_like("PM", events))
    vouchers.campaigns.link(list_id, "CMP1", repeat=RepeatPolicy.NEW_CODE)

    def give(number: int) -> None:
        users = [f"user-{chance.randrange(USERS)}" for _ in range(number)]
        for user in users:
            vouchers.codes.assign(campaign_id="CMP1", user_id=user)

    def run(concurrency: int, calls: int) -> None:
        with Victim("relay", path, file, concurrency) as victim:
            assert victim.hears(1 + calls)[0] == ["ready"]
            victim.kill()

    with ThreadPoolExecutor(RELAYS) as pool:
        for _ in range(rounds):
            concurrencies = [chance.choice([1, 1, AT_A_TIME]) for _ in range(RELAYS)]
            calls = [chance.randint(1, 12) for _ in range(RELAYS)]
            print("killed after", calls, "calls, of", concurrencies, "at a time")
            victims = [pool.submit(run, *planned) for planned in zip(concurrencies, calls, strict=True)]
            while not all(victim.done() for victim in victims):
                give(5)
                time.sleep(0.005)
            for victim in victims:
                victim.result()
    killed = {each.process for each in taken(file)}
    finish(path, file, storage)
    expected = outbox(storage)
    found = list(taken(file))
    assert {each.id for each in found} == {entry.id for entry in expected}, "an event is lost"
    first: dict[str, Taken] = {}
    repeated: dict[str, set[int]] = {process: set() for process in killed}
    for each in found:
        earlier = first.setdefault(each.id, each)
        if earlier is not each:
            assert earlier.process in killed, "no process was killed"
            repeated[earlier.process].add(earlier.call)
    # Only the calls that were under way when their process was killed, which need not be the last that it began.
    assert all(len(calls) <= AT_A_TIME for calls in repeated.values())
    for key in {each.key for each in first.values()}:
        order = [each.position for each in first.values() if each.key == key]
        assert order == sorted(order), "events of one user arrived out of order"
    print(len(found) - len(first), "of", len(first), "arrived again")
    storage.close()


def outbox(storage: SQLiteStorage) -> list[OutboxEntry]:
    with storage.begin(write=False) as tx:
        return tx.outbox.read(0, 100_000)


def finish(path: Path, file: Path, storage: SQLiteStorage) -> None:
    """Let two relays deliver what is left, and end when they are asked to."""
    with ExitStack() as stack:
        relays = [stack.enter_context(Victim("relay", path, file, 1)) for _ in range(2)]
        for relay in relays:
            relay.hears(1)
        wanted = {entry.id for entry in outbox(storage)}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not wanted <= {each.id for each in taken(file)}:
            time.sleep(0.02)
        for relay in relays:
            relay.terminate()
            assert list(relay.lines())[-1] == ["done"]


def test_relays_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    kill_relays(tmp_path, 5, rounds=3, events=20_000)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_relays_that_are_killed_lose_nothing(tmp_path: Path, seed: int) -> None:
    kill_relays(tmp_path, seed, rounds=15, events=100_000)
