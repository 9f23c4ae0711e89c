"""Tell whether a process of this machine is dead, so that what it held is free at once.

If that is unknown (another machine, another container, no `/proc`), the answer is no, and a lease
ends by its time.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_UNKNOWN = "?"


def this_process() -> str:
    """Return a text that names this process among all that ever ran on this machine since it started."""
    return _describe(os.getpid())


def is_dead(process: str) -> bool:
    """Tell whether the process that `this_process` described is known to have ended."""
    if process == this_process():
        return False
    machine, _, rest = process.partition(" ")
    pid, _, started = rest.partition(" ")
    if machine != _machine() or _UNKNOWN in (machine, started) or not pid.isdigit():
        return False
    return _started(int(pid)) not in (started, _UNKNOWN)


@cache
def _describe(pid: int) -> str:
    return f"{_machine()} {pid} {_started(pid) or _UNKNOWN}"


@cache
def _machine() -> str:
    """Return the boot of the machine and the space of its process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return _UNKNOWN


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks; empty where there is no such process."""
    try:
        # The name of the program, in parentheses, may hold anything; what follows it does not.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return ""
    except OSError:
        return _UNKNOWN
    return "" if fields[0] in ("Z", "X") else fields[19]
