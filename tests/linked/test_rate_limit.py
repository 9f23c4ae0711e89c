import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.errors import InvalidInput
from partner_vouchers.linked.rate_limit import RateLimit


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds


@given(
    calls=st.integers(1, 5),
    seconds=st.floats(0.5, 60),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=40),
)
def test_no_stretch_of_time_has_more_calls_than_allowed(
    calls: int, seconds: float, pauses: list[float]
) -> None:
    time = Time()
    limit = RateLimit(calls=calls, seconds=seconds, clock=time, sleep=time.sleep)
    begun: list[float] = []
    for pause in pauses:
        time.now += pause
        limit.acquire()
        begun.append(time.now)
    for first, one_too_many in zip(begun, begun[calls:], strict=False):
        assert one_too_many - first >= seconds * (1 - 1e-9)


def test_calls_under_the_limit_do_not_wait() -> None:
    time = Time()
    limit = RateLimit(calls=2, seconds=60, clock=time, sleep=time.sleep)
    limit.acquire()
    limit.acquire()
    assert time.slept == []
    limit.acquire()
    assert time.slept == [60]


def test_pause_holds_up_everybody() -> None:
    time = Time()
    limit = RateLimit(calls=10, seconds=1, clock=time, sleep=time.sleep)
    limit.pause(5)
    limit.pause(3)
    limit.acquire()
    limit.acquire()
    assert time.slept == [5]


def test_threads_share_a_limit() -> None:
    slept: list[float] = []
    limit = RateLimit(calls=10, seconds=60, clock=lambda: 1000.0, sleep=slept.append)
    threads = [threading.Thread(target=limit.acquire) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Ten at once, and ten more in each further minute.
    assert sorted(slept) == [60.0] * 10 + [120.0] * 10 + [180.0] * 10


FORKS_WHILE_LOCKED = """
import os, sys, threading
from partner_vouchers.linked.rate_limit import RateLimit

asked, forked = threading.Event(), threading.Event()

def clock():
    if threading.current_thread() is not threading.main_thread():
        asked.set()
        forked.wait()
    return 1000.0

limit = RateLimit(calls=10, seconds=60, clock=clock)
thread = threading.Thread(target=limit.acquire)
thread.start()
asked.wait()
child = os.fork()
if not child:
    limit.acquire()
    os._exit(0)
try:
    sys.exit(os.waitpid(child, 0)[1])
finally:
    forked.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_lock_of_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKS_WHILE_LOCKED], start_new_session=True) as process:
        try:
            assert process.wait(60) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


@pytest.mark.parametrize(
    "wrong,field",
    [
        *(({"calls": value}, "calls") for value in (0, -1, 1.5, True, "1", None)),
        *(({"seconds": value}, "seconds") for value in (0, -1, float("nan"), float("inf"), "1", None)),
    ],
    ids=str,
)
def test_limit_that_makes_no_sense(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RateLimit(**{"calls": 1, "seconds": 1, **wrong})
    assert caught.value.field == field
