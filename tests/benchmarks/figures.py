"""The figures of a run: each is printed, and kept for the table and the picture in the docs if a run asks for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "PARTNER_VOUCHERS_FIGURES"
"""The environment variable with the file to which a run adds its figures."""


missed: list[str] = []
"""The figures of the present benchmark that did not reach their goals; it fails for them once it has ended."""


def record(group: str, what: str, value: float, *, beside: str, goal: float | None, unit: str = "×") -> None:
    """Print a figure, and add it to the file of the run, if there is one.

    Args:
        group: the heading under which the table shows it.
        what: what was measured.
        value: what was seen; less is better.
        beside: what it was compared with, or how it was measured.
        goal: the most that is wanted, or None where there is no goal.
        unit: `×` for a ratio, or a unit such as `ms`.
    """
    reached = goal is None or value <= goal
    wanted = "" if goal is None else f", goal at most {goal:g} {unit}{'' if reached else ': NOT REACHED'}"
    line = f"{group}: {what}: {value:.3g} {unit} ({beside}){wanted}"
    print(f"\n{line}")
    if not reached:
        missed.append(line)
    kept = os.environ.get(FILE)
    if kept:
        figure = {"group": group, "what": what, "value": value, "beside": beside, "goal": goal, "unit": unit}
        with Path(kept).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figure, ensure_ascii=False) + "\n")
