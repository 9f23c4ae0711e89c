"""Exceptions at any instruction, as a signal handler raises them: Ctrl-C, or the time limit of a task queue."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class TimeLimit(Exception):
    """What a handler raises."""


class Strike:
    """Raises `TimeLimit` before one instruction of a call, counted through all frames of Python code.

    Attributes:
        count: how many instructions the call had, as far as it came.
        struck: whether the call came as far as that instruction.
    """

    def __init__(self, at: int | None = None) -> None:
        self._at = at
        self.count: int = 0
        self.struck: bool = False

    def call(self, work: Callable[[], object]) -> None:
        """Call a function."""
        previous = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        finally:
            sys.settrace(previous)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        # A signal handler runs in any frame; those of the test itself are left out.
        if frame.f_code is Strike.call.__code__:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self.count += 1
            if self.count - 1 == self._at:
                sys.settrace(None)
                self.struck = True
                raise TimeLimit
        return self._trace


def instructions_of(work: Callable[[], object]) -> int:
    """Return how many instructions a call has."""
    strike = Strike()
    strike.call(work)
    return strike.count
