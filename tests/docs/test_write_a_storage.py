"""The storage of the how-to page passes the whole contract, as a reader would run it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from partner_vouchers import ports
from partner_vouchers.adapters import simple
from tests.support.scratch import scratch

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "write-a-storage.md"
TEXT = PAGE.read_text(encoding="utf-8")
_sketch, STORAGE, TEST = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ROOMS = {"ports": ports, "simple": simple}
# The storage syncs its file at each commit. No power is cut here, so the tests need not wait for a disk.
QUICKLY = """
import os

from hypothesis import settings

os.fsync = lambda file: None
settings.register_profile("fewer", max_examples=15, derandomize=True)
settings.load_profile("fewer")
"""


def test_the_example_storage_passes_the_contract() -> None:
    with scratch() as place:
        (place / "my_storage.py").write_text(STORAGE, encoding="utf-8")
        (place / "test_my_storage.py").write_text(TEST, encoding="utf-8")
        (place / "conftest.py").write_text(QUICKLY, encoding="utf-8")
        (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "--basetemp=tmp",
            "-rfEs",
            "-o",
            "faulthandler_timeout=120",
        ]
        command = ["-m", "pytest", "test_my_storage.py", *options]
        done = subprocess.run(
            [sys.executable, *command], cwd=place, capture_output=True, encoding="utf-8", check=False
        )
    assert done.returncode == 0, done.stdout
    *_, summary = done.stdout.strip().splitlines()
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped|failed)", summary)}
    assert counted["passed"] > 120
    # Only what is about a host's connection, and what the example leaves out.
    assert counted["skipped"] < 60
    reasons = r"SKIPPED .* (a file has no connection|this storage does not support)"
    assert len(re.findall(reasons, done.stdout)) == len(re.findall("SKIPPED", done.stdout))


def test_the_example_is_short_enough_to_read() -> None:
    assert sum(bool(line.strip()) for line in STORAGE.splitlines()) <= 250


def test_the_page_says_what_the_example_inherits_and_writes() -> None:
    told = {
        base: set(re.findall(r"`(\w+)`", methods))
        for base, methods in re.findall(
            r"^\| .* \| `(?:ports|simple)\.(\w+)` \| (.*) \|$", TEXT, re.MULTILINE
        )
    }
    written = {
        base.attr: {each.name for each in found.body if isinstance(each, ast.FunctionDef)}
        & {name for name in dir(getattr(ROOMS[ast.unparse(base.value)], base.attr)) if name != "__init__"}
        for found in ast.parse(STORAGE).body
        if isinstance(found, ast.ClassDef)
        for base in found.bases
        if isinstance(base, ast.Attribute)
    }
    assert told == written
