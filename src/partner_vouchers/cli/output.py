"""How results are printed: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
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


def console() -> Console:
    """Return a console on the standard output; it has no colours where that is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows as a table; a sentence where there are none.

    Args:
        columns: the titles; one that begins with `#` is of numbers.
        rows: the cells of each row.
        empty: the sentence.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(
            title.removeprefix("#"), justify="right" if title.startswith("#") else "left", overflow="fold"
        )
    filled = False
    for row in rows:
        filled = True
        table.add_row(*map(cell, row))
    if filled:
        console().print(table)
    else:
        say(empty)


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
            return Text(f"{value:%Y-%m-%d %H:%M:%S}")
        case _:
            return _safe(str(getattr(value, "value", value)))


def _safe(text: str) -> Text:
    # Rows of a file and the answer of a server may hold what a terminal would execute.
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
