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


def sample_codes(directory: Path) -> list[str]:
    header, *codes = (directory / "codes.csv").read_text(encoding="utf-8").split("\n")[:-1]
    assert header == "voucher_code"
    return codes


def test_demo_accounts_for_every_row(capsys: Capture) -> None:
    out = demo(capsys)

    upload = re.search(
        r"^Completed: (\d+) of (\d+) codes accepted, (\d+) errors, \d+\.\d\d seconds$", out, re.M
    )
    assert upload is not None
    accepted, total, errors = map(int, upload.groups())
    assert (accepted, total, errors) == (1985, 2000, 15)
    by_kind = {kind: int(count) for kind, count in re.findall(r"^  (\w+): (\d+)$", out, re.M)}
    assert by_kind == {"duplicate_in_file": 3, "empty": 3, "invalid_character": 6, "too_long": 3}
    assert "\nStock: 1985 uploaded, 3 distributed, 1982 available\n" in out


def test_demo_shows_the_first_errors_without_the_codes(capsys: Capture, tmp_path: Path) -> None:
    out = demo(capsys, "--directory", str(tmp_path))

    codes = sample_codes(tmp_path)
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


def test_demo_gives_each_user_a_code_of_the_file_and_the_same_when_asked_again(
    capsys: Capture, tmp_path: Path
) -> None:
    out = demo(capsys, "--directory", str(tmp_path))

    given = re.findall(r"^  (user-\d) gets (\w{12}) \(replayed: (\w+)\)$", out, re.M)
    assert [(user, replayed) for user, _, replayed in given] == [
        ("user-1", "False"),
        ("user-2", "False"),
        ("user-3", "False"),
        ("user-3", "True"),
    ]
    codes = [code for _, code, _ in given]
    assert codes == [*sample_codes(tmp_path)[:3], codes[2]]
    assert len(set(codes)) == 3


def test_demo_shows_event_and_message(capsys: Capture) -> None:
    out = demo(capsys)

    (code,) = re.findall(r"user-3 gets (\w+) \(replayed: True\)", out)
    event = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert event["voucherCode"] == code
    assert (event["partner"], event["listTag"], event["campaignId"]) == (
        "Puma",
        "winter_sale_500",
        "CMP123456",
    )
    assert event["listDescription"] == "₹500 off on orders above ₹2000"
    assert f"\nThe message: Hi Meera, Puma gives you {code}\n" in out


def test_demo_refuses_the_same_file(capsys: Capture) -> None:
    assert re.search(r"^  file_already_uploaded: .*codes\.csv", demo(capsys), re.M)


def test_demo_is_the_same_each_time(capsys: Capture) -> None:
    codes = [re.findall(r"gets (\w+)", demo(capsys)) for _ in range(2)]

    assert codes[0] == codes[1]


def test_demo_leaves_nothing_behind(capsys: Capture, temporary: Path) -> None:
    assert demo(capsys).endswith("were removed; with --keep they stay.\n")
    assert list(temporary.iterdir()) == []


def test_keep_leaves_the_files(capsys: Capture, temporary: Path) -> None:
    out = demo(capsys, "--keep")

    (kept,) = temporary.iterdir()
    assert out.endswith(f"The files codes.csv and vouchers.db are in {kept}\n")
    assert {"codes.csv", "vouchers.db"} <= {path.name for path in kept.iterdir()}


def test_directory_is_made_and_left(capsys: Capture, tmp_path: Path, temporary: Path) -> None:
    chosen = tmp_path / "new" / "demo"

    assert demo(capsys, "--directory", str(chosen)).endswith(f"are in {chosen}\n")
    assert {"codes.csv", "vouchers.db"} <= {path.name for path in chosen.iterdir()}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["codes.csv", "vouchers.db"])
def test_files_of_others_are_not_touched(capsys: Capture, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert main(["demo", "--directory", str(tmp_path)]) == 2

    assert "exists; name another directory" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "--rows"],
        ["demo", "--rows", "many"],
        ["demo", "--rows", "99"],
        ["demo", "--rows", "1000001"],
        ["demo", "--color"],
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_directory_that_is_a_file(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert main(["demo", "--directory", str(tmp_path / "file")]) == 5
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
