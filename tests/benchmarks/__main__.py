"""Run all benchmarks, or some, and write their figures as a page of the docs with a picture.

    python -m tests.benchmarks              # run all, print the table
    python -m tests.benchmarks cpu campaign # some of them
    python -m tests.benchmarks --write      # run all, and write docs/explanation/figures.md with its picture

The whole takes about an hour on two cores. `SCALE=0.1` makes the large ones smaller.
`BEFORE=COMMIT` compares with an older version of the library, too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

import psycopg
import pytest

from tests.benchmarks.figures import FILE

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
SETTINGS = "BEFORE", "HUGE", "SCALE"
"""Variables of the environment that change what is measured."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of the files, such as cpu or postgres")
    parser.add_argument("--write", action="store_true", help="write the page and the picture of the docs")
    wanted = parser.parse_args()
    files = [
        str(path)
        for path in sorted(HERE.glob("bench_*.py"))
        if not wanted.names or any(name in path.stem for name in wanted.names)
    ]
    with TemporaryDirectory() as directory:
        kept = Path(directory, "figures.jsonl")
        os.environ[FILE] = str(kept)
        options = ["-o", "python_files=bench_*.py", "-s", "-q", "--timeout=7200", "-p", "no:cacheprovider"]
        status = pytest.main([*options, *files])
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    figures = [json.loads(line) for line in lines]
    print(table(figures))
    if wanted.write:
        settings = [f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ]
        command = " ".join([*settings, "python -m tests.benchmarks --write", *wanted.names])
        (DOCS / "explanation" / "figures.md").write_text(page(figures, command), encoding="utf-8")
        (DOCS / "images" / "figures.svg").write_text(picture(figures), encoding="utf-8")
    return int(status)


def machine() -> str:
    """Return the machine and the versions, in one sentence."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{os.cpu_count()} processors ({processor}), {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, psycopg {psycopg.__version__}"
    )


def table(figures: list[dict[str, Any]]) -> str:
    """Return the figures as a table for each group."""
    parts = list[str]()
    head = ["| what | beside | seen | goal |", "| --- | --- | --- | --- |"]
    for group, members in groupby(figures, key=lambda figure: figure["group"]):
        rows = [f"| {each['what']} | {each['beside']} | {shown(each)} | {goal(each)} |" for each in members]
        parts.append("\n".join([f"## {group}", "", *head, *rows]))
    return "\n\n".join(parts)


def shown(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3g} {figure['unit']}"


def goal(figure: dict[str, Any]) -> str:
    if figure["goal"] is None:
        return "–"
    wanted = f"≤ {figure['goal']:g} {figure['unit']}"
    return wanted if figure["value"] <= figure["goal"] else f"**{wanted}: not reached**"


def page(figures: list[dict[str, Any]], command: str) -> str:
    """Return the page of the docs: what a command printed today."""
    return f"""# Figures

`{command}` printed these figures on {time.strftime("%Y-%m-%d", time.gmtime())}.
Each figure is the median of several rounds. A round runs the floor first and the library next.
Smaller figures are better. The machine has {machine()}.
[Performance](performance.md) describes the floors and explains the figures.

![Each figure as a share of its goal](../images/figures.svg)

{table(figures)}
"""


def picture(figures: list[dict[str, Any]]) -> str:
    """Return a bar for each figure that has a goal, by groups. Its length is the share of the goal."""
    left, full, top = 430, 260, 20
    parts: list[str] = []
    drawn = [each for each in figures if each["goal"]]
    for group, members in groupby(drawn, key=lambda each: each["group"]):
        parts.append(f'<text x="8" y="{top + 16}" font-weight="bold">{escape(group)}</text>')
        top += 24
        for figure in members:
            share = figure["value"] / figure["goal"]
            color, width = "#2f7d4f" if share <= 1 else "#b4541a", min(share, 2) * full
            name = escape(figure["what"].partition(":")[0])
            parts += [
                f'<text x="{left - 8}" y="{top + 12}" text-anchor="end">{name}</text>',
                f'<rect x="{left}" y="{top}" width="{width:.0f}" height="15" fill="{color}"/>',
                f'<text x="{left + width + 6:.0f}" y="{top + 12}">{escape(shown(figure))}</text>',
            ]
            top += 22
    goal_at = left + full
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + 2 * full + 70}" height="{top + 10}">',
            "<style>text { font: 12px sans-serif; fill: #222222 } [font-weight] { font-weight: bold }</style>",
            "<title>Figures as a share of their goals</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *parts,
            f'<path d="M{goal_at} 18V{top}" stroke="#222222" stroke-dasharray="4 3"/>',
            f'<text x="{goal_at}" y="13" text-anchor="middle">goal</text>',
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
