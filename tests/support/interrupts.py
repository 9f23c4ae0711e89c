"""Raise an exception at a chosen instruction, as the handler of a signal may, or count the instructions."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import partner_vouchers

# Python 3.12.1 traces no instruction in a process before a frame has asked for it.
sys._getframe().f_trace_opcodes = True

_LIBRARY = Path(partner_vouchers.__file__).parent
EVERYWHERE = (str(_LIBRARY), contextlib.__file__)
AROUND_TRANSACTIONS = (
    *(
        str(_LIBRARY / room)
        for room in ("adapters", "locks.py", "usecases/transactions.py", "usecases/wiring.py")
    ),
    contextlib.__file__,
)
"""Without the rooms that compute: an exception there is one that comes out of the work."""


class Interrupt(BaseException):
    """What a handler raises, as for Ctrl-C."""


class TimeLimit(Exception):
    """What the handler of a task queue raises when a task has taken too long."""


def interrupted_at(
    instruction: int,
    call: Callable[[], object],
    of: tuple[str, ...] = EVERYWHERE,
    kind: type[BaseException] = Interrupt,
) -> BaseException | None:
    """Make a call that is interrupted before one of its instructions.

    Args:
        instruction: which one, counted from 1 over all that the library executes.
        call: the call.
        of: the beginnings of the names of files whose instructions count; `("",)` for all.
        kind: the class of the exception.

    Returns:
        The exception that came out of the call; None where it came to its end before that instruction.

    Raises:
        AssertionError: the exception was swallowed, or came out as another one.
    """
    raised: BaseException | None = None
    left = instruction

    def at_instruction(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal raised, left
        if event == "opcode":
            left -= 1
            if left == 0:
                raised = kind()
                sys.settrace(None)
                raise raised
        return at_instruction

    def at_call(frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(of):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return at_instruction

    came_out: BaseException | None = None
    before = sys.gettrace()
    try:
        sys.settrace(at_call)
        call()
    except BaseException as error:  # noqa: BLE001 - also what is not the interrupt
        came_out = error
    finally:
        sys.settrace(before)
    if raised is None and came_out is not None:
        raise came_out
    assert came_out is raised, f"{came_out!r} came out in place of the interrupt"
    try:
        return raised
    finally:
        # It keeps this frame, which must not keep it in turn.
        raised = came_out = None


def steps(work: Callable[[], object]) -> int:
    """Return how many instructions of Python some work takes, which does not depend on the machine's mood."""
    taken = 0

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal taken
        frame.f_trace_opcodes = True
        taken += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return taken
