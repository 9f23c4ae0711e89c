"""Split long work into transactions so short that other writers wait little."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from partner_vouchers.adapters.sqlite.transaction import SQLiteTransaction
from partner_vouchers.slices import SliceSize

_PAUSE_SECONDS = 0.0007

_SMALLEST, _FIRST, _LARGEST = 200, 2_000, 25_000


def new_size() -> SliceSize:
    """Return the number of rows to begin with."""
    return SliceSize(_SMALLEST, _FIRST, _LARGEST)


Begin = Callable[[], AbstractContextManager[SQLiteTransaction]]


def one_slice(begin: Begin, work: Callable[[SQLiteTransaction, int], None], size: SliceSize) -> int:
    """Call `work` with a number of rows, in a transaction; return that number."""
    rows = size.rows
    with begin() as tx:
        started = time.perf_counter()
        work(tx, rows)
        tx.commit()
        size.learn(time.perf_counter() - started)
    # Whoever waits for the lock looks at it from time to time only, and must find it free.
    time.sleep(_PAUSE_SECONDS)
    return rows


def in_slices(begin: Begin, work: Callable[[SQLiteTransaction, int], bool], until: float = math.inf) -> bool:
    """Call `work` with a number of rows, each time in a new transaction, until it returns False.

    Return False if the time `until`, of `time.monotonic`, has come before.
    """
    size = new_size()
    more = True

    def do(tx: SQLiteTransaction, rows: int) -> None:
        nonlocal more
        more = work(tx, rows)

    while True:
        one_slice(begin, do, size)
        if not more:
            return True
        if time.monotonic() >= until:
            return False
