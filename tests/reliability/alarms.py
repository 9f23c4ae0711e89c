"""A process whose alarm raises an exception again and again, wherever the call has come to.

    python -m tests.reliability.alarms (memory|<db>) <alarms>

It says how many exceptions came out of how many calls.
"""

from __future__ import annotations

import random
import signal
import sys
import threading

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.errors import UploadRunning
from tests.support.host import FixedClock, Host, some_codes
from tests.support.interrupts import TimeLimit

_CODES = 60_000


def main(place: str, alarms: int) -> None:
    storage = (
        MemoryStorage() if place == "memory" else SQLiteStorage(place, synchronous="NORMAL", busy_timeout=10)
    )
    host = Host(storage, FixedClock())
    found = host.a_list(*some_codes(_CODES), campaign="CMP")
    chance = random.Random(alarms)
    struck = calls = 0
    armed = False

    def strike(_signal: object, _frame: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise TimeLimit

    def others() -> None:
        number = 0
        while struck < alarms:
            number += 1
            host.give(found.id, f"other {number % 3000}")
        host.hang_up()

    signal.signal(signal.SIGALRM, strike)
    thread = threading.Thread(target=others)
    thread.start()
    users = []
    while struck < alarms:
        calls += 1
        user = f"ann {calls}"
        users.append(user)
        key = user if calls % 2 else None
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, 0.002))
            if calls % 50 == 0:
                host.upload(found.id, f"NEW {calls}".replace(" ", ""))
            host.vouchers.codes.assign(campaign_id="CMP", user_id=user, idempotency_key=key)
            armed = False
        except TimeLimit:
            struck += 1
            host.vouchers.codes.assign(campaign_id="CMP", user_id=user, idempotency_key=key)
        except UploadRunning:
            # One that was interrupted, until its lease ends.
            armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    thread.join()
    held = list(host.vouchers.codes.assignments(found.id))
    assert len({one.code for one in held}) == len(held) == host.vouchers.lists.get(found.id).distributed
    assert len({(one.user_id, one.campaign_id) for one in held}) == len(held)
    print(struck, calls)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
