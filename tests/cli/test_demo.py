from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from partner_vouchers import cli
from partner_vouchers.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary directories."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def demo(capsys: Capture, *arguments: str) -> str:
    assert main(["demo", "--rows", "2000", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_demo_shows_the_main_job(capsys: Capture, tmp_path: Path, temporary: Path) -> None:
    directory = tmp_path / "new" / "demo"
    out = demo(capsys, "--directory", str(directory))

    header, *codes = (directory / "codes.csv").read_text(encoding="utf-8").split("\n")[:-1]
    assert header == "voucher_code"
    # Each row is accounted for, and the first errors are shown without their codes.
    assert re.search(r"^Completed: 1985 of 2000 codes accepted, 15 errors, \d+\.\d\d seconds$", out, re.M)
    by_kind = {kind: int(count) for kind, count in re.findall(r"^  (\w+): (\d+)$", out, re.M)}
    assert by_kind == {"duplicate_in_file": 3, "empty": 3, "invalid_character": 6, "too_long": 3}
    assert "\nStock: 1985 uploaded, 3 distributed, 1982 available\n" in out
    shown = re.findall(r"^  line (\d+): (\w+): (.+)$", out, re.M)
    assert [kind for _, kind, _ in shown] == [
        "duplicate_in_file",
        "empty",
        "invalid_character",
        "too_long",
        "invalid_character",
    ]
    for line, _, message in shown:
        code = codes[int(line) - 2]
        assert not code or code not in message

    # Each user gets a code of the file, and the same when they ask again.
    given = re.findall(r"^  (user-\d) gets (\w{12}) \(replayed: (\w+)\)$", out, re.M)
    first, second, third = codes[:3]
    assert given == [
        ("user-1", first, "False"),
        ("user-2", second, "False"),
        ("user-3", third, "False"),
        ("user-3", third, "True"),
    ]
    event = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert event["voucherCode"] == third
    assert (event["partner"], event["listTag"], event["campaignId"]) == (
        "Puma",
        "winter_sale_500",
        "CMP123456",
    )
    assert event["listDescription"] == "₹500 off on orders above ₹2000"
    assert f"\nThe message: Hi Meera, Puma gives you {third}\n" in out
    assert re.search(r"^  file_already_uploaded: .*codes\.csv", out, re.M)
    assert out.endswith(f"are in {directory}\n")
    assert list(temporary.iterdir()) == []


def test_demo_leaves_nothing_behind_unless_it_is_told_to(capsys: Capture, temporary: Path) -> None:
    out = demo(capsys)
    assert out.endswith("were removed; with --keep they stay.\n")
    assert list(temporary.iterdir()) == []

    kept = demo(capsys, "--keep")
    (directory,) = temporary.iterdir()
    assert kept.endswith(f"The files codes.csv and vouchers.db are in {directory}\n")
    assert {"codes.csv", "vouchers.db"} <= {path.name for path in directory.iterdir()}
    assert re.findall(r"gets (\w+)", out) == re.findall(r"gets (\w+)", kept)


@pytest.mark.parametrize("name", ["codes.csv", "vouchers.db"])
def test_files_of_others_are_not_touched(capsys: Capture, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert main(["demo", "--directory", str(tmp_path)]) == 2

    assert "exists; name another directory" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["nonsense"], 2),
        (["demo", "--rows"], 2),
        (["demo", "--rows", "many"], 2),
        (["demo", "--rows", "99"], 2),
        (["demo", "--rows", "1000001"], 2),
        (["demo", "--color"], 2),
        (["demo", "--directory", __file__], 5),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], code: int) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_demo_as_a_module_on_any_terminal(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "partner_vouchers", "demo", "--rows", "100"],
        env={"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(cli.__file__).parent.parent.parent)},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Hi Meera, Puma gives you" in done.stdout
