import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"

HEAVY = {
    "hypothesis",
    "http.client",
    "h11",
    "httpx2",
    "jinja2",
    "liquid",
    "psycopg",
    "pytest",
    "requests",
    "sqlite3",
    "starlette",
    "urllib.request",
}


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    import partner_vouchers

    assert partner_vouchers.__version__ == version("partner-vouchers")


def test_import_loads_nothing_heavy() -> None:
    loaded = run("-I", "-c", "import partner_vouchers, sys; print(*sys.modules, sep='\\n')")

    assert HEAVY.isdisjoint(loaded.split())


def test_wheel_holds_every_source_file_and_no_plugin(tmp_path: Path) -> None:
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entries,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        entry_points = archive.read(entries).decode()

    files = (path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file())
    # Tools leave caches behind, which are not source.
    sources = {
        path.as_posix()
        for path in files
        if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    }
    assert shipped == sources
    assert "partner_vouchers/py.typed" in shipped
    # No plugin of pytest: nothing happens in a host's tests unless one of them imports the kit.
    assert re.findall(r"\[(.*)\]", entry_points) == ["console_scripts"]


@pytest.mark.parametrize(
    "module,absent,extra",
    [
        ("partner_vouchers.adapters.postgres", "psycopg", "postgres"),
        ("partner_vouchers.sinks.clevertap", "httpx2", "http"),
        ("partner_vouchers.page", "jinja2", "page"),
        ("partner_vouchers.page", "starlette", "page"),
        ("partner_vouchers.testing", "hypothesis", "testing"),
        ("partner_vouchers.testing", "pytest", "testing"),
    ],
)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    module: str, absent: str, extra: str
) -> None:
    program = f"""
import sys
sys.modules[{absent!r}] = None
try:
    import {module}
except ImportError as error:
    print(error)
"""

    assert f"partner-vouchers[{extra}]" in run("-I", "-c", program)
