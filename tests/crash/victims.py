"""Start a program that will be killed, listen to it, and kill it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Victim:
    """A process of `tests.crash.children`."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.crash.children", *(str(argument) for argument in arguments)]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def lines(self) -> Iterator[list[str]]:
        """Yield what it says, as words, until it ends or was killed."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
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
        raise AssertionError(f"it ended after {heard[-3:]}: {self._errors()}")

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
        return self._process.wait() == -signal.SIGKILL

    def terminate(self) -> None:
        """Ask it to end, with SIGTERM."""
        self._process.terminate()

    def _errors(self) -> str:
        self.kill()
        assert self._process.stderr is not None
        return self._process.stderr.read()
