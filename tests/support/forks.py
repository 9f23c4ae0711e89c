"""A child process made by `fork`, as daemons, gunicorn's preloading and `multiprocessing` make them."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_PATIENCE = 40


class Child:
    """A process that was forked to call a function, and that can be waited for or killed."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns about other threads, which is what these tests are about.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid: int = os.fork()
        if self.pid == 0:
            self._run(call, writing)
        os.close(writing)

    def _run(self, call: Callable[[], Any], writing: int) -> None:
        # A child that hangs is ended.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE)
        try:
            try:
                answer = pickle.dumps((call(), None))
            except BaseException:  # noqa: BLE001 - the parent is told
                answer = pickle.dumps((None, traceback.format_exc()))
            os.write(writing, answer)
        finally:
            os._exit(0)

    def result(self) -> Any:
        """Return what the function returned."""
        with os.fdopen(self._reading, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(self.pid, 0)
        assert answer, "the child hung or died"
        value, failure = pickle.loads(answer)
        assert failure is None, failure
        return value

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def in_child(call: Callable[[], T]) -> T:
    """Fork, call a function in the child, and return what it returned."""
    value: T = Child(call).result()
    return value
