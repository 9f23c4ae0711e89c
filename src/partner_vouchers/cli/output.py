"""How results are printed: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from partner_vouchers.domain.lifecycle import STATUS_TABLE, Status
from partner_vouchers.serialization import to_dict

_COLOURS = {
    rule.status: {"orange": "yellow", "gray": "bright_black"}.get(rule.colour, rule.colour)
    for rule in STATUS_TABLE
}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tabs and line breaks."""

_WIDE = 1000
"""The width of tables in columns where no terminal limits it, so that other programs read a row in one line."""


_SHORT = 20
"""Cells of at most so many characters are never broken into lines, such as a time."""


def console(at_least: int = 0) -> Console:
    """Return a console on the standard output; it has no colours where that is no terminal.

    Args:
        at_least: its width in columns, even if the terminal is narrower.
    """
    if not sys.stdout.isatty():
        return Console(highlight=False, width=_WIDE)
    found = Console(highlight=False)
    found.width = max(found.width, at_least)
    return found


def say(text: str) -> None:
    """Print a sentence."""
    console().print(_safe(text), soft_wrap=True)


def warn(text: str) -> None:
    """Print a sentence on the standard error."""
    Console(stderr=True, highlight=False).print(_safe(text), soft_wrap=True)


def print_json(value: object, *, reveal: bool = False) -> None:
    """Print what the library returned as JSON."""
    sys.stdout.write(
        json.dumps(to_dict(value, codes="whole" if reveal else "masked"), ensure_ascii=False, indent=2) + "\n"
    )
    # A program may wait for it while the command goes on.
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows as a table; a sentence where there are none.

    Args:
        columns: the titles; one that begins with `#` is of numbers.
        rows: the cells of each row.
        empty: the sentence.
    """
    shown = [list(map(cell, row)) for row in rows]
    if not shown:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    needed = 0
    for title, cells in zip(columns, zip(*shown, strict=True), strict=True):
        name = title.removeprefix("#")
        width = max(len(name), *(each.cell_len for each in cells))
        needed += min(width, _SHORT) + 2
        table.add_column(
            name,
            justify="right" if title.startswith("#") else "left",
            overflow="fold",
            no_wrap=width <= _SHORT,
        )
    for row_cells in shown:
        table.add_row(*row_cells)
    console(needed).print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values below one another."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bright_black")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, cell(value))
    console().print(table)


def cell(value: Any) -> Text:
    """Return a value as it is shown; never as markup."""
    match value:
        case None | "":
            return Text("–", style="bright_black")
        case Status():
            return Text(value.value, style=_COLOURS[value])
        case bool():
            return Text("yes" if value else "no")
        case int():
            return Text(f"{value:,}")
        case float():
            return Text(f"{value:,.1f}")
        case datetime():
            # In UTC, which the Z says.
            return Text(f"{value:%Y-%m-%d %H:%M:%S}Z")
        case timedelta():
            return Text(in_seconds(value))
        case _:
            return _safe(str(getattr(value, "value", value)))


def in_seconds(duration: timedelta) -> str:
    """Return a duration in whole seconds, such as `0:01:26`."""
    return str(timedelta(seconds=duration // timedelta(seconds=1)))


def _safe(text: str) -> Text:
    # Rows of a file and the answer of a server may hold what a terminal would execute.
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
