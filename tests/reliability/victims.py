"""A process that uploads a file or recovers one, tells each step, and is killed at a step or at any moment."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from partner_vouchers import PartnerVouchers, PerPartner
from tests.concurrency.watched import WatchedStorage
from tests.support.places import Place, opened, wait_until_gone
from tests.support.processes import PROCESSES


class Victim:
    """A process that uploads a file to a list, or recovers uploads where there is no file.

    Args:
        place: the storage.
        stop: the step at which it waits to be killed, such as `2 claiming` for the second of that name; `-` for none.
        list_id: the list.
        file: the file.
    """

    def __init__(self, place: Place, stop: str, list_id: str = "", file: Path | None = None) -> None:
        listening, saying = PROCESSES.Pipe(duplex=False)
        self._place = place
        arguments = (saying, place, stop, list_id, file)
        self._process = PROCESSES.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        # What it says ends when it dies.
        saying.close()
        self._said = os.fdopen(os.dup(listening.fileno()), encoding="utf-8")
        listening.close()

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.close()
        self._said.close()

    def _lines(self) -> Iterator[list[str]]:
        for line in self._said:
            # What was cut off in the middle of a line was not said.
            if line.endswith("\n"):
                yield line.split()

    def until(self, *words: str) -> list[list[str]]:
        """Return what it says, as words, up to a line that begins with one of these."""
        heard: list[list[str]] = []
        for line in self._lines():
            heard.append(line)
            if line[0] in words:
                return heard
        raise AssertionError(f"it ended after {heard[-3:]}; what it met is in the output")

    def kill(self) -> bool:
        """Kill it with SIGKILL and wait until it is dead; what it said before can still be heard.

        Returns:
            whether that is what it died of: it may have come to its end before.
        """
        self._process.kill()
        self._process.join()
        wait_until_gone(self._place, _name_of(self._process.pid))
        return self._process.exitcode == -signal.SIGKILL


def _name_of(pid: int | None) -> str:
    """Return how the connections of such a process are called on a server."""
    return f"victim {pid}"


def _run(saying: Connection, place: Place, stop: str, list_id: str, file: Path | None) -> None:
    os.dup2(saying.fileno(), 1)
    saying.close()
    os.environ["PGAPPNAME"] = _name_of(os.getpid())
    reached: Counter[str] = Counter()

    def reach(step: str) -> None:
        reached[step] += 1
        if f"{reached[step]} {step}" == stop:
            print("stop", step, flush=True)
            # Should the test end itself, so does this.
            test = parent_process()
            assert test is not None
            test.join()
            sys.exit(1)
        print("step", step, flush=True)

    storage = WatchedStorage(opened(place, synchronous="FULL"), reach)
    vouchers = PartnerVouchers(storage, duplicates=PerPartner())
    print("ready", flush=True)
    if file is None:
        print("done", len(vouchers.uploads.recover()), flush=True)
    else:
        done = vouchers.uploads.add(list_id, file, uploaded_by="ops")
        print("done", done.status, done.accepted, flush=True)
