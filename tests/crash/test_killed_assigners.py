"""Processes that are killed while they give out codes: what a caller was told stands, and nothing else is lost."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from partner_vouchers import PartnerVouchers, PerPartner
from tests.concurrency.state import checked, codes_like, new_list
from tests.crash.victims import Victim
from tests.support.places import Place, opened

WORKERS = 3
Told = dict[str, str]
"""User and code, as a caller was told."""


def kill_assigners(place: Place, seed: int, *, rounds: int) -> None:
    """Give out codes of a campaign in processes, kill each of them in each round, and let the last ones finish."""
    print("seed", seed)
    chance = random.Random(seed)
    storage = opened(place, synchronous="FULL")
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    codes = [codes_like(f"PM{number}", 250 * rounds) for number in range(2)]
    lists = [new_list(vouchers, f"sale-{number}", codes[number]) for number in range(2)]
    for number, list_id in enumerate(lists):
        vouchers.campaigns.link(list_id, "CMP1", priority=number)

    def run(worker: str, first: int, after: int | None) -> tuple[Told, bool]:
        """Let a worker begin with a user; kill it when it has told so much, or let it come to its end."""
        with Victim("assign", place, "CMP1", worker, first) as victim:
            heard = victim.until("done") if after is None else victim.hears(1 + after)
            victim.kill()
            heard += victim.lines()
        return {words[1]: words[2] for words in heard if words[0] == "given"}, heard[-1] == ["done"]

    told: dict[str, Told] = {f"worker-{number}": {} for number in range(WORKERS)}
    with ThreadPoolExecutor(WORKERS) as pool:
        for round_number in range(rounds):
            when = [chance.randint(0, 120) for _ in told]
            print(f"round {round_number}: killed after {when} answers")
            # Whoever was not told asks again, with the same key.
            starts = [len(known) for known in told.values()]
            ran = list(pool.map(run, told, starts, when))
            given = {
                a.user_id: a.code for list_id in lists for a in checked(vouchers, storage, list_id).given
            }
            for (worker, known), (more, finished) in zip(told.items(), ran, strict=True):
                assert not known.keys() & more.keys()
                known.update(more)
                mine = {user: code for user, code in given.items() if user.startswith(f"{worker}-")}
                assert known.items() <= mine.items(), "what a caller was told does not stand"
                assert len(mine) - len(known) <= (0 if finished else 1), "more than the one in flight"
        ran = list(pool.map(run, told, [len(known) for known in told.values()], [None] * WORKERS))
    for known, (more, finished) in zip(told.values(), ran, strict=True):
        assert finished
        known.update(more)
    states = [checked(vouchers, storage, list_id) for list_id in lists]
    assert [[assignment.code for assignment in state.given] for state in states] == codes
    given = {assignment.user_id: assignment.code for state in states for assignment in state.given}
    assert given == {user: code for known in told.values() for user, code in known.items()}
    storage.close()


def test_what_a_caller_was_told_survives_the_death_of_the_process(place: Place) -> None:
    kill_assigners(place, 3, rounds=3)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(100, 110))
def test_what_callers_were_told_survives_the_death_of_many_processes(place: Place, seed: int) -> None:
    kill_assigners(place, seed, rounds=10)
