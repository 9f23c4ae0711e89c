"""What other processes do with the same file. Each command says what it did on its standard output.

    python -m tests.adapters.sqlite.children open <db>
    python -m tests.adapters.sqlite.children upload <db> <list id> <code>...
    python -m tests.adapters.sqlite.children give_in_threads <db> <list id> <threads> <number of the first user>

`open` waits for a line on its standard input before it opens the file, `upload` stops in the middle until it is
killed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NoReturn

from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.support.host import FixedClock, Host


def opened(path: str) -> Host:
    return Host(SQLiteStorage(path, busy_timeout=2), FixedClock())


def say(*words: object) -> None:
    # In one piece: two processes may speak at the same time.
    print(" ".join(map(str, words)) + "\n", end="", flush=True)


def open_at_the_signal(path: str) -> None:
    say("ready")
    sys.stdin.readline()
    host = opened(path)
    host.vouchers.partners.add(f"partner of {os.getpid()}")
    say(host.outbox()[0].id.rpartition("-")[0])


def upload(path: str, list_id: str, *codes: str) -> None:
    host = opened(path)

    def stop(_progress: object) -> NoReturn:
        say("reached")
        sys.stdin.read()
        os._exit(1)

    host.upload(list_id, *codes, progress=stop)


def give_in_threads(path: str, list_id: str, threads: str, first: str) -> None:
    """Assign to user after user in each thread, and say what each got, until killed."""
    host = Host(SQLiteStorage(path), FixedClock())

    def give(thread: int) -> None:
        for number in count(int(first)):
            user = f"user-{thread}-{number}"
            reward = host.vouchers.codes.assign(list_id=list_id, user_id=user, idempotency_key=user)
            say(user, reward.code)

    for thread in range(int(threads)):
        threading.Thread(target=give, args=(thread,)).start()


@contextmanager
def a_child() -> Iterator[bool]:
    """Fork; the context is entered by both, with True in the child, which ends at the end of it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            yield True
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    yield False
    _, status = os.waitpid(pid, 0)
    assert status == 0


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {
        "open": open_at_the_signal,
        "upload": upload,
        "give_in_threads": give_in_threads,
    }
    commands[sys.argv[1]](*sys.argv[2:])
