from __future__ import annotations

from pathlib import Path

import pytest

from partner_vouchers.cli import main
from partner_vouchers.cli.context import Exit
from tests.support.command import FAULTY, Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in an empty directory; return the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTNER_VOUCHERS_ACTOR", "asha")

    def run_(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_


@pytest.fixture
def winter(run: Run) -> str:
    """A list without codes; its id."""
    assert run("create", "--partner", "Puma", "--tag", "Winter", "--expires", "2199-03-31")[0] == Exit.OK
    return "1"


@pytest.fixture
def filled(run: Run, winter: str) -> str:
    """A list with two codes; its id."""
    Path("codes.csv").write_text(FAULTY)
    assert run("upload", winter, "codes.csv")[0] == Exit.FAULTS
    return winter
