"""The command `partner-vouchers` as tests run it: see the fixtures of tests/cli."""

from __future__ import annotations

from collections.abc import Callable

CODE = "PM500FF-2026-XYZ"
FAULTY = f"code\n{CODE}\nPM500FF-2026-ABC\nwrong code\n"

Run = Callable[..., tuple[int, str, str]]
