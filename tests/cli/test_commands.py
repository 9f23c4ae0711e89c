from __future__ import annotations

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.cli.app import app
from partner_vouchers.cli.context import Exit
from tests.support.command import CODE, FAULTY, Run
from tests.support.sinks import ScriptedSink, reject

NOW = datetime.now(UTC)  # noqa: TID251 - the command has the machine's clock


def test_the_life_of_a_list(run: Run, filled: str) -> None:
    assert run("link", filled, "CMP1")[0] == Exit.OK
    code, out, _ = run("assign", "--user", "user-42", "--campaign", "CMP1", "--key", "order-1", "--json")
    assert code == Exit.OK
    assert json.loads(out)["replayed"] is False
    assert run("pause", filled)[1] == "List 1 is paused.\n"
    assert run("pause", filled)[0] == Exit.REFUSED
    assert run("activate", filled)[0] == Exit.OK
    assert run("edit", filled, "--name", "New", "--low-stock", "80%")[0] == Exit.OK
    assert (
        run("archive", filled, "--yes")[1].splitlines()[1]
        == "These campaigns get no more codes from it: CMP1."
    )
    shown = json.loads(run("show", filled, "--json")[1])
    assert (shown["status"], shown["name"], shown["tag"]) == ("Archived", "New", "winter")
    events = [row.split()[3] for row in run("audit", "--list", filled)[1].splitlines()[1:]]
    assert events[-3:] == ["campaign.linked", "upload.completed", "list.created"]
    assert {entry["actor"] for entry in json.loads(run("audit", "--json")[1])["items"]} == {"asha"}


def test_a_list_that_is_refused_leaves_no_partner_behind(run: Run, winter: str) -> None:
    new = ("create", "--partner", "Nike", "--expires", "2199-03-31", "--tag")
    assert run(*new, "two words")[0] == Exit.USAGE
    assert [each["name"] for each in json.loads(run("partners", "--json")[1])] == ["Puma"]
    assert run("create", "--partner", "Puma", "--expires", "2199-03-31", "--tag", "winter")[0] == Exit.REFUSED


def test_the_warnings_of_a_list_are_set_shown_and_removed(run: Run, winter: str) -> None:
    run("edit", winter, "--low-stock", "80%", "--expiring-soon", "7")
    assert json.loads(run("show", winter, "--json")[1])["expiring_soon"] == 7 * 24 * 3600
    shown = [line.split() for line in run("show", winter)[1].splitlines()]
    assert ["Low", "stock", "at", "80%", "used"] in shown
    assert ["Expiring", "soon", "7", "days"] in shown
    run("edit", winter, "--low-stock", "1000", "--expiring-soon", "none")
    shown = [line.split() for line in run("show", winter)[1].splitlines()]
    assert ["Low", "stock", "at", "1,000"] in shown
    assert ["Expiring", "soon", "–"] in shown
    assert "expiring_soon: 7 days → –" in run("audit")[1]
    new = ("create", "--partner", "Puma", "--expires", "2199-03-31", "--tag", "x", "--expiring-soon")
    for wrong in ("soon", "nan", "0", "9999"):
        code, _, err = run(*new, wrong)
        assert (code, err.startswith("error: --expiring-soon: must be")) == (Exit.USAGE, True)
    assert json.loads(run(*new, "1.5", "--json")[1])["expiring_soon"] == 36 * 3600


def test_an_upload_shows_its_errors_and_writes_the_error_file(run: Run, winter: str) -> None:
    Path("codes.csv").write_text(FAULTY)
    code, out, err = run("upload", winter, "codes.csv")
    assert code == Exit.FAULTS
    assert out.startswith("Completed: 2 of 3 codes accepted, 1 errors.\n")
    assert "wrong code" not in out
    assert "codes-errors.csv" in err
    corrected = Path("codes-errors.csv").read_text().replace("wrong code", "right-code")
    Path("codes-errors.csv").write_text(corrected)
    assert run("upload", winter, "codes-errors.csv")[:2] == (
        Exit.OK,
        "Completed: 1 of 1 codes accepted, 0 errors.\n",
    )


def test_an_error_file_replaces_no_other_file(run: Run, winter: str) -> None:
    Path("codes.csv").write_text(FAULTY)
    Path("codes-errors.csv").write_text("mine")
    code, _, err = run("upload", winter, "codes.csv", "--error-file", "codes-errors.csv")
    assert (code, "codes-errors.csv exists" in err) == (Exit.USAGE, True)
    assert json.loads(run("uploads", "--json")[1])["items"] == []

    code, _, err = run("upload", winter, "codes.csv")
    assert (code, "codes-errors-2.csv" in err) == (Exit.FAULTS, True)
    assert Path("codes-errors.csv").read_text() == "mine"
    assert "wrong code" in Path("codes-errors-2.csv").read_text()
    for command in (
        ("export", winter, "-o"),
        ("reconcile", "codes.csv", "--partner", "Puma", "--error-file"),
    ):
        assert run(*command, "codes-errors.csv")[0] == Exit.USAGE


def test_a_report_is_shown_although_its_error_file_cannot_be_written(run: Run, winter: str) -> None:
    Path("codes.csv").write_text(FAULTY)
    code, out, err = run("upload", winter, "codes.csv", "--error-file", "missing/errors.csv")
    assert (code, out.splitlines()[0]) == (Exit.STORAGE, "Completed: 2 of 3 codes accepted, 1 errors.")
    assert "missing/errors.csv" in err
    assert "`partner-vouchers uploads --errors 1`" in err

    Path("redeemed.csv").write_text("code,order\nPM500ZZ,order-1\n")
    file = ("redeemed.csv", "--partner", "Puma", "--error-file", "missing/errors.csv", "--json")
    code, out, err = run("reconcile", *file)
    assert (code, json.loads(out)["total"]) == (Exit.STORAGE, 1)
    assert "missing/errors.csv" in err


def test_programs_get_json_where_there_is_no_object(run: Run, filled: str) -> None:
    run("link", filled, "CMP1")
    assert json.loads(run("unlink", filled, "CMP1", "--json")[1]) == {"list_id": "1", "campaign_id": "CMP1"}
    assert json.loads(run("delete", filled, "--yes", "--json")[1]) == {"deleted": "1"}
    assert list(json.loads(run("version", "--json")[1])) == ["version"]


def test_a_file_is_refused_as_a_whole(run: Run, winter: str) -> None:
    Path("codes.csv").write_text('A1\n"A2\n')
    code, out, err = run("upload", winter, "codes.csv")
    assert code == Exit.FAULTS
    assert out.startswith("Failed: 0 of")
    assert "The file was refused: line 2: a quote" in err


def test_a_file_is_validated_without_being_stored(run: Run, winter: str) -> None:
    Path("codes.csv").write_text(FAULTY)
    assert run("validate", winter, "codes.csv")[0] == Exit.FAULTS
    assert json.loads(run("uploads", "--json")[1])["items"] == []
    Path("codes.csv").write_text("A1\nA2\n")
    assert run("validate", winter, "codes.csv")[0] == Exit.OK


def test_a_file_that_was_uploaded_before_is_taken_with_force(run: Run, winter: str) -> None:
    Path("codes.csv").write_text("A1\nA2\n")
    assert run("upload", winter, "codes.csv")[0] == Exit.OK
    for command in ("validate", "upload"):
        code, _, err = run(command, winter, "codes.csv")
        assert (code, "--force" in err) == (Exit.REFUSED, True)
        assert run(command, winter, "codes.csv", "--force")[0] == Exit.FAULTS  # both codes are in the list


def test_codes_are_masked_unless_they_are_revealed_which_is_audited(run: Run, filled: str) -> None:
    assert CODE not in run("assign", "--user", "user-42", "--list", filled)[1]
    assert CODE not in run("user", "user-42")[1]
    assert CODE not in run("user", "user-42", "--json")[1]
    assert CODE not in run("holders", CODE)[1]
    assert "code.revealed" not in run("audit")[1]
    assert CODE in run("user", "user-42", "--reveal")[1]
    assert run("audit")[1].count("code.revealed") == 1
    assert CODE in run("assign", "--user", "user-42", "--list", filled, "--reveal")[1]
    assert run("audit")[1].count("code.revealed") == 2


def test_downloads_are_audited(run: Run, filled: str) -> None:
    assert run("export", filled, "--remaining", "-o", "left.csv")[0] == Exit.OK
    assert CODE in Path("left.csv").read_text()
    assert Path("left.csv").stat().st_mode & 0o077 == 0, "it has whole codes"
    assert run("export", filled, "-o", "left.csv")[0] == Exit.USAGE
    assert run("export", filled, "-o", "missing/left.csv")[0] == Exit.STORAGE
    assert run("export", "99", "-o", "other.csv")[0] == Exit.REFUSED
    assert not Path("other.csv").exists()
    assert "file: remaining codes" in run("audit")[1]
    assert "file: distributed codes" not in run("audit")[1]


def test_what_cannot_be_undone_asks_first(run: Run, filled: str) -> None:
    for command in ("archive", "delete"):
        code, _, err = run(command, filled)
        assert code == Exit.USAGE
        assert "--yes" in err
    assert run("delete", filled, "--yes")[0] == Exit.OK
    assert run("show", filled)[0] == Exit.REFUSED


def on_a_terminal(*arguments: str, answer: bytes = b"") -> tuple[int, str]:
    """Run the command on a terminal; return the exit code and what it showed."""
    ours, theirs = pty.openpty()
    with process(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        os.write(ours, answer)
        shown = b""
        # Linux reports the end of a terminal as an error.
        with suppress(OSError):
            while more := os.read(ours, 4096):
                shown += more
    os.close(ours)
    return running.returncode, shown.decode()


def test_the_answer_no_changes_nothing_and_is_no_interruption(run: Run, filled: str) -> None:
    code, shown = on_a_terminal("archive", filled, answer=b"n\n")
    assert (code, "Nothing was changed." in shown, "Stopped" in shown) == (Exit.REFUSED, True, False)
    assert json.loads(run("show", filled, "--json")[1])["status"] == "Active"


def test_what_a_terminal_would_execute_is_not_printed(run: Run, winter: str) -> None:
    Path("codes.csv").write_text("A-1\n\x1b[31mred\x9b2J\n")
    Path("hello.liquid").write_text("Hi \x1b[2J {{ Profile.name }}")
    Path("asha.json").write_text(json.dumps({"name": "\x1b]0;title\x07"}))
    for command in (
        ("validate", winter, "codes.csv", "--reveal"),
        ("upload", winter, "codes.csv", "--reveal"),
        ("template", "render", "hello.liquid", "--profile", "asha.json"),
    ):
        _, out, err = run(*command)
        assert "\N{REPLACEMENT CHARACTER}" in out
        assert not set("\x1b\x9b\x07") & set(out + err)


def test_events_are_delivered_and_their_backlog_is_shown(run: Run, filled: str) -> None:
    assert run("events", "backlog")[1] == "No sink has received an event yet.\n"
    assert run("events", "deliver", "--jsonl", "events.jsonl")[0] == Exit.OK
    assert len(Path("events.jsonl").read_text().splitlines()) == 3
    (backlog,) = json.loads(run("events", "backlog", "--json")[1]).values()
    assert (backlog["undelivered"], backlog["dead_letters"]) == (0, 0)
    assert run("events", "dead")[1] == "There is no dead letter.\n"
    assert run("events", "backlog", "typo")[0] == Exit.REFUSED
    run("assign", "--user", "asha", "--list", filled)
    code, out, _ = run("events", "deliver", "--jsonl", "no-directory/events.jsonl")
    assert (code, "cannot write" in out) == (Exit.STORAGE, True), "a job must notice it"
    shown = run("events", "backlog")[1].splitlines()
    assert shown[0].split()[-2:] == ["Paused", "until"]
    assert re.search(r" 0:0\d:\d\d .*– +20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ$", shown[1])


def test_templates_are_checked_and_rendered(run: Run) -> None:
    Path("good.liquid").write_text("Hi {{ Profile.name | default: 'there' }}")
    Path("bad.liquid").write_text("Hi {{ Profile.name }")
    Path("asha.json").write_text('{"name": "Asha"}')
    assert run("template", "check", "good.liquid")[0] == Exit.OK
    assert run("template", "check", "bad.liquid")[0] == Exit.FINDINGS
    assert run("template", "render", "good.liquid", "--profile", "asha.json")[1] == "Hi Asha\n"
    shown = run("template", "render", "good.liquid", "--profile", "asha.json", "--json")[1]
    assert json.loads(shown) == {"message": "Hi Asha"}
    assert run("template", "render", "bad.liquid")[0] == Exit.REFUSED
    Path("event.liquid").write_text("{{ Event.partner }} {{ Event.voucherCode }}")
    assert run("template", "render", "event.liquid")[1] == "Puma SAMPLE-CODE\n"
    Path("event.json").write_text('{"partner": "Nike", "voucherCode": "X"}')
    assert run("template", "render", "event.liquid", "--event", "event.json")[1] == "Nike X\n"
    Path("latin.liquid").write_bytes(b"M\xfcnchen")
    code, _, err = run("template", "check", "latin.liquid")
    assert (code, err) == (Exit.USAGE, "error: latin.liquid: is not UTF-8; save it in that encoding\n")
    assert run("template", "check", "missing.liquid")[0] == Exit.STORAGE
    Path("typo.liquid").write_text("{{ Event.voucherCod }}")
    code, out, _ = run("template", "check", "typo.liquid")
    assert (code, "did you mean 'voucherCode'?" in out) == (Exit.FINDINGS, True)
    Path("points.liquid").write_text("{{ Event.Points }}")
    assert run("template", "check", "points.liquid", "--event", "CT Points Credited")[0] == Exit.OK


def test_doctor_finds_what_needs_attention(run: Run, filled: str) -> None:
    assert run("doctor")[:2] == (Exit.OK, "Nothing needs attention.\n")
    run("link", filled, "CMP1")
    for user in ("a", "b"):
        assert run("assign", "--user", user, "--campaign", "CMP1")[0] == Exit.OK
    code, out, _ = run("doctor", "--json")
    assert code == Exit.FINDINGS
    assert [found["problem"] for found in json.loads(out)] == ["a list has no code left"]
    with closing(sqlite3.connect("vouchers.db")) as connection, connection:
        connection.execute("UPDATE pv_uploads SET status = 'In Progress', started_at = 0")
        connection.execute(
            "UPDATE pv_lists SET expires_at = expires_at % 1000000 + ?", (int(time.time() + 3600) * 10**6,)
        )
    problems = [found["problem"] for found in json.loads(run("doctor", "--json")[1])]
    assert problems == [
        "an upload is in progress for too long",
        "a list expires soon",
        "a list has no code left",
    ]


def test_doctor_finds_events_that_wait_dead_letters_and_a_clock_that_is_off(run: Run, filled: str) -> None:
    sink = ScriptedSink("crm")
    sink.always = reject("asha", final=True)
    with closing(SQLiteStorage("vouchers.db")) as storage:
        yesterday = PartnerVouchers(storage, clock=lambda: NOW - timedelta(days=1))
        tomorrow = PartnerVouchers(storage, clock=lambda: NOW + timedelta(days=1))
        for user_id in ("asha", "ravi"):
            yesterday.codes.assign(list_id=filled, user_id=user_id)
        while not yesterday.events.dead_letters().items:
            yesterday.events.deliver(sink)
        yesterday.lists.pause(filled)
        tomorrow.lists.edit(filled, name="Edited tomorrow")
    findings = {found["problem"]: found for found in json.loads(run("doctor", "--json")[1])}
    assert set(findings) == {
        "the newest change is dated in the future",
        "dead letters",
        "events wait for too long",
    }
    assert "events dead crm" in findings["dead letters"]["advice"]


def test_doctor_finds_a_damaged_file(run: Run, filled: str) -> None:
    with closing(sqlite3.connect("vouchers.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(Path("vouchers.db").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = b"\xff" * 8192
    Path("vouchers.db").write_bytes(data)
    code, out, _ = run("doctor")
    assert code == Exit.FINDINGS
    assert "the file is damaged" in out or "the storage cannot be used" in out


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("lists", "--db", "missing.db"), Exit.USAGE),
        (("lists", "--db", "no-database.db"), Exit.STORAGE),
        (("lists", "--db", "mysql://somewhere/x"), Exit.USAGE),
        (("lists", "--db", "."), Exit.STORAGE),
        (("lists", "--db", ":memory:"), Exit.USAGE),
        (("partners", "--add", ""), Exit.USAGE),
        (("reserve", "--user", "u", "--list", "1", "--minutes", "99999999"), Exit.USAGE),
        (("link", "1", "CMP1", "--repeat", "sometimes"), Exit.USAGE),
        (("show", "99"), Exit.REFUSED),
        (("create", "--partner", "P", "--tag", "t", "--expires", "2001-01-01"), Exit.USAGE),
        (("create", "--partner", "P", "--tag", "t", "--expires", "soon"), Exit.USAGE),
        (
            ("create", "--partner", "P", "--tag", "t", "--expires", "2199-01-01", "--zone", "Nowhere"),
            Exit.USAGE,
        ),
        (
            ("create", "--partner", "P", "--tag", "t", "--expires", "2199-01-01", "--zone", "localtime"),
            Exit.USAGE,
        ),
        (("create", "--partner", "Puma", "--tag", "WINTER", "--expires", "2199-01-01"), Exit.REFUSED),
        (("edit", "1"), Exit.USAGE),
        (("edit", "1", "--low-stock", "few"), Exit.USAGE),
        (("lists", "--status", "Gone"), Exit.USAGE),
        (("lists", "--after", "tampered"), Exit.USAGE),
        (("upload", "1", "missing.csv"), Exit.STORAGE),
        (("assign", "--user", "u", "--list", "1"), Exit.NO_CODE),
        (("assign", "--user", "u"), Exit.USAGE),
        (("events", "deliver"), Exit.USAGE),
        (("events", "deliver", "--webhook", "http://127.0.0.1:1/", "--secret", "short"), Exit.USAGE),
        (("reconcile", "no-database.db"), Exit.USAGE),
        (("template", "check", "no-database.db", "--event", "CT Nothing"), Exit.USAGE),
        (("export", "1", "-o", "no-directory/left.csv"), Exit.STORAGE),
    ],
    ids=str,
)
def test_a_mistake_has_an_exit_code_and_a_message(
    run: Run, winter: str, arguments: tuple[str, ...], code: Exit
) -> None:
    Path("no-database.db").write_text("this is no database")
    found, _, err = run(*arguments)
    assert found == code
    assert err.startswith("error: ")
    for word in (
        "Traceback",
        "Value error",
        "Errno",
        "MemoryStorage",
        "_id",
        "ttl",
        "expires_at",
        "secrets",
        "error: partner:",
    ):
        assert word not in err
    assert json.loads(run("lists", "--json")[1])["items"][0]["version"] == 1


def test_a_path_is_shown_as_it_is_although_it_has_the_name_of_an_option(run: Run, tmp_path: Path) -> None:
    _, _, err = run("lists", "--db", "partner/vouchers.db")
    assert f"'{tmp_path}/partner/vouchers.db'" in err
    assert "`partner-vouchers migrate`" in err


@pytest.mark.parametrize(
    "arguments, says",
    [
        (
            ("lists", "--sort", "colour"),
            "--sort: must be one of updated_at, created_at, expires_at, partner, tag,",
        ),
        (("audit", "--limit", "0"), "--limit: must be from 1 to 1000"),
        (("upload", "1", "codes.csv", "--encoding", "klingon"), "--encoding: 'klingon' is no known encoding"),
        (("redeem", "CODE", "--order", "1", "--at", "soon"), "--at: 'soon' is not a date"),
        (("limits", "CMP1", "--set", "2/user/month"), "--set: '2/user/month': zone is required"),
        (("limits", "CMP1", "--set", "2"), "write 1/user or 1000/campaign/month/Asia/Kolkata"),
        (("list",), "Did you mean 'lists', 'limits'? See --help\n"),
    ],
    ids=str,
)
def test_a_message_names_what_the_command_knows(
    run: Run, winter: str, arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = run(*arguments)
    assert code == Exit.USAGE
    assert says in err


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_look_at_the_file_of_another_program_changes_nothing(run: Run, journal: str) -> None:
    with closing(sqlite3.connect("shop.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE orders (id)")
    before = Path("shop.db").read_bytes()
    for command in ("lists", "doctor", "page"):
        code, _, err = run(command, "--db", "shop.db")
        assert (code, "shop.db' has no voucher lists" in err) == (Exit.USAGE, True)
    assert Path("shop.db").read_bytes() == before
    assert list(Path().iterdir()) == [Path("shop.db")]
    assert run("migrate", "--db", "shop.db")[0] == Exit.OK
    assert run("lists", "--db", "shop.db")[0] == Exit.OK


def test_tables_that_are_only_in_the_wal_file_are_found(run: Run) -> None:
    Path("link.db").symlink_to("vouchers.db")
    with closing(sqlite3.connect("vouchers.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE orders (id)")
        assert run("migrate")[0] == Exit.OK
        for name in ("vouchers.db", "link.db"):
            assert run("lists", "--db", name)[0] == Exit.OK


def test_the_version_is_an_option_too(run: Run) -> None:
    assert run("--version") == run("version")


def test_each_command_has_an_example() -> None:
    commands = [*app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        commands += group.typer_instance.registered_commands
    assert len(commands) > 20
    for command in commands:
        assert command.callback is not None
        assert "Example: `partner-vouchers " in (command.callback.__doc__ or ""), command.callback.__name__


def process(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-m", "partner_vouchers", *arguments], env=environment, **options
    )


def test_a_pipe_whose_reader_has_enough_does_no_harm(run: Run, winter: str) -> None:
    Path("many.csv").write_text("".join(f"CODE-{number:06}\n" for number in range(50_000)))
    assert run("upload", winter, "many.csv")[0] == Exit.OK
    with process("export", winter, "--remaining", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        export.stdout.readline()
        export.stdout.close()
        assert export.stderr.read() == b""
    assert export.returncode == 0


def test_ctrl_c_during_an_upload_stores_nothing_and_says_what_to_do(run: Run, winter: str) -> None:
    def interruptible() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with process(
        "upload", winter, "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=interruptible
    ) as upload:
        assert upload.stdin is not None
        assert upload.stderr is not None
        upload.stdin.write(b"CODE-1\n" * 100_000)
        upload.stdin.flush()
        upload.send_signal(signal.SIGINT)
        upload.stdin.close()
        message = upload.stderr.read()
    assert upload.returncode in (Exit.INTERRUPTED, -signal.SIGINT)
    assert b"Traceback" not in message
    assert upload.returncode < 0 or message.startswith(b"Stopped. `partner-vouchers uploads --recover`")
    assert run("uploads", "--recover")[0] == Exit.OK
    assert json.loads(run("show", winter, "--json")[1])["available"] == 0


def test_on_a_terminal_an_upload_shows_how_far_it_is(run: Run, winter: str) -> None:
    Path("many.csv").write_text("".join(f"CODE-{number:06}\n" for number in range(20_000)))
    code, shown = on_a_terminal("upload", winter, "many.csv")
    assert code == Exit.OK
    assert "20,000 rows" in shown
    assert "Completed: 20,000 of 20,000 codes accepted" in shown


def test_without_a_command_the_help_is_shown_and_no_error(run: Run) -> None:
    code, out, err = run()
    assert (code, "Usage" in out, err) == (Exit.USAGE, True, "")


def test_a_narrow_terminal_breaks_no_time(run: Run, filled: str) -> None:
    updated_at = json.loads(run("show", filled, "--json")[1])["updated_at"]
    assert updated_at[:19].replace("T", " ") in on_a_terminal("lists")[1]
