"""Start a program that will be killed, listen to it, and kill it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from tests.crash.children import name_of, run
from tests.support.places import wait_until_gone
from tests.support.processes import PROCESSES


class Victim:
    """A process of `tests.crash.children`."""

    def __init__(self, *arguments: object) -> None:
        listening, saying = PROCESSES.Pipe(duplex=False)
        self._place = str(arguments[1])
        self._process = PROCESSES.Process(target=run, args=(saying, *map(str, arguments)), daemon=True)
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

    def lines(self) -> Iterator[list[str]]:
        """Yield what it says, as words, until it ends or was killed."""
        for line in self._said:
            # What was cut off in the middle of a line was not said.
            if line.endswith("\n"):
                yield line.split()

    def until(self, *words: str) -> list[list[str]]:
        """Return what it says up to a line that begins with one of these words."""
        heard: list[list[str]] = []
        for line in self.lines():
            heard.append(line)
            if line[0] in words:
                return heard
        raise AssertionError(f"it ended after {heard[-3:]}; what it met is in the output")

    def hears(self, number: int) -> list[list[str]]:
        """Return the next lines that it says, fewer if it ends."""
        heard: list[list[str]] = []
        if number > 0:
            for line in self.lines():
                heard.append(line)
                if len(heard) == number:
                    break
        return heard

    def kill(self) -> bool:
        """Kill it with SIGKILL and wait until it is dead; what it said before can still be heard.

        Returns:
            whether that is what it died of: it may have come to its end before.
        """
        self._process.kill()
        self._process.join()
        wait_until_gone(self._place, name_of(self._process.pid))
        return self._process.exitcode == -signal.SIGKILL

    def terminate(self) -> None:
        """Ask it to end, with SIGTERM."""
        self._process.terminate()
