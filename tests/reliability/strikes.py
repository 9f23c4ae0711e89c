"""Let the server of a storage die, again and again, while processes work with it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg
from psycopg.conninfo import make_conninfo

from tests.support.host import wait_until
from tests.support.postgres import Server, connections_of

WORKER = "a worker"

_PAUSE = (0.2, 2.0)
"""Seconds from one strike to the next, at the least and at the most."""

_OF_BACKENDS = 0.7
"""How many of these strikes are against a single backend."""

# The backends of workers, those first that do something; whether they are in a transaction.
_VICTIM = """
    SELECT pid, state <> 'idle' FROM pg_stat_activity WHERE application_name = %s
    ORDER BY state <> 'idle' DESC, random() LIMIT 1
"""


def address_of_workers(server: Server, **options: str) -> str:
    """Return the address of a storage as workers open it, with more options of their connections."""
    return "postgres " + make_conninfo(server.conninfo, application_name=WORKER, **options)


class Strikes:
    """Strikes against a server.

    Attributes:
        server: the server.
        kills: how many there were, by what was killed.
        in_transaction: how many of the killed backends were in the middle of a transaction.
    """

    def __init__(self, server: Server, chance: random.Random, times: int) -> None:
        self.server = server
        self._times = times
        self.kills: Counter[str] = Counter()
        self.in_transaction = 0
        self._chance = chance
        self._ways: dict[str, Callable[[], None]] = {
            "main process": partial(server.kill, children=False),
            "all processes": partial(server.kill, children=True),
            "immediate shutdown": server.crash,
        }

    @property
    def are_left(self) -> bool:
        """Whether there were fewer yet than planned."""
        return self.kills.total() < self._times

    def strike_server(self) -> None:
        """Let all of it die, and start it again."""
        way = self._chance.choice(sorted(self._ways))
        self._ways[way]()
        self.server.wait_until_open()
        self.kills[way] += 1

    def strike_backend(self) -> None:
        """Kill a process that serves a worker; the server ends all others, and recovers."""
        with psycopg.connect(self.server.conninfo) as connection:
            found = connection.execute(_VICTIM, (WORKER,)).fetchone()
        if found is not None and self.server.kill_backend(found[0]):
            self.in_transaction += found[1]
            self.kills["backend"] += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Strike now and then, until this ends; then the server is there again."""
        ended = threading.Event()

        def strike() -> None:
            while not ended.wait(self._chance.uniform(*_PAUSE)):
                if self._chance.random() < _OF_BACKENDS:
                    self.strike_backend()
                else:
                    self.strike_server()

        with ThreadPoolExecutor(1) as thread:
            striking = thread.submit(strike)
            try:
                yield
            finally:
                ended.set()
            striking.result()

    def wait_until_workers_left(self) -> None:
        """Wait until the server has noticed that the workers are dead: what they asked for last may be under way."""
        wait_until(
            lambda: not connections_of(WORKER, conninfo=self.server.conninfo),
            "a connection outlives its process",
        )
