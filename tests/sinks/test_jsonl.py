"""A file of events: every line whole, whoever writes and whoever dies."""

from __future__ import annotations

import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import EventSink
from partner_vouchers.sinks.jsonl import JsonLinesSink
from tests.sinks.entries import LOW, entry, rewards
from tests.support.promo import AT, an_event


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_event_is_a_line_that_cloudevents_reads(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    text = '₹500 off\nline\r two\u2028three\x85 "quoted" \\'
    event = an_event(list_description=text)
    sink: EventSink = JsonLinesSink(path, source="https://shop.example.com/vouchers")
    assert sink.send([entry(event), entry(LOW, 2)]) == ()
    assert "₹500" in path.read_text(encoding="utf-8")
    first, second = (JSONFormat().read(None, line) for line in path.read_bytes().split(b"\n")[:-1])
    found = first.get_id(), first.get_type(), first.get_subject(), first.get_time()
    assert found == ("s-1", "CT Partner Voucher Rewarded", "user-42", AT)
    assert first.get_source() == "https://shop.example.com/vouchers"
    assert first.get_data() == event.properties()
    assert (second.get_id(), second.get_type(), second.get_subject()) == ("s-2", "list.running_low", "1837")


def test_lines_are_added_at_the_end(tmp_path: Path) -> None:
    path, entries = tmp_path / "events.jsonl", rewards(5)
    for durable in (True, False):
        JsonLinesSink(path, durable=durable).send(entries[:2])
    JsonLinesSink(path).send(entries[2:])
    assert [line["id"] for line in lines_of(path)] == ["s-1", "s-2", "s-1", "s-2", "s-3", "s-4", "s-5"]


def test_a_sink_in_use_can_be_pickled(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink(path)
    sink.send([entry(an_event()), entry(LOW, 2)])
    pickle.loads(pickle.dumps(sink)).send([entry(an_event(), 3)])
    assert [line["id"] for line in lines_of(path)] == ["s-1", "s-2", "s-3"]


def test_names_forms_and_kinds_can_be_chosen(tmp_path: Path) -> None:
    path, name = tmp_path / "events.jsonl", "CT Partner Voucher Rewarded"
    sink = JsonLinesSink(path, names={name: "Voucher"}, forms={name: "legacy"}, events=(type(an_event()),))
    sink.send([entry(an_event(), 2)])
    (line,) = lines_of(path)
    assert (line["id"], line["type"], line["data"]) == ("s-2", "Voucher", an_event().properties("legacy"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_reads_the_codes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    JsonLinesSink(path).send(rewards(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", ['{"specversion":"1.0","id":"s-0","da', "\0\0\0"])
def test_after_a_torn_line_the_next_batch_begins_anew(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "events.jsonl"
    JsonLinesSink(path).send(rewards(1))
    with path.open("a", encoding="utf-8") as file:
        file.write(torn)
    JsonLinesSink(path).send(rewards(2))
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[1] == torn
    assert [json.loads(line)["id"] for line in (lines[0], *lines[2:-1])] == ["s-1", "s-1", "s-2"]
    assert lines[-1] == ""


def test_a_file_that_is_moved_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink(path)
    sink.send(rewards(1))
    path.rename(tmp_path / "events.jsonl.1")
    sink.send(rewards(2))
    assert [line["id"] for line in lines_of(path)] == ["s-1", "s-2"]


@pytest.mark.parametrize("place,reason", [("no/events.jsonl", "No such file"), ("full", "No space left")])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_what_cannot_be_written_is_tried_again(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(SinkUnavailable, match=reason) as caught:
        JsonLinesSink(tmp_path / place, durable=False).send(rewards(1))
    assert caught.value.sink == "jsonl"
    assert caught.value.sender_refused, "no event is to blame for that"


def run(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Run a program beside the tests."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment, text=True, **options)


WRITER = """
    import sys
    from partner_vouchers.sinks.jsonl import JsonLinesSink
    from tests.sinks.entries import rewards

    sink = JsonLinesSink(sys.argv[1], durable=False, source=sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(10):
        sink.send(rewards(100))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock between processes")
def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writers = [run(WRITER, path, f"/writer/{number}", **pipes) for number in range(2)]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    for writer in writers:
        writer.communicate("go\n", timeout=60)

    assert all(writer.returncode == 0 for writer in writers)
    found = [(line["source"], line["id"]) for line in lines_of(path)]
    expected = [f"s-{number}" for number in range(1, 101)] * 10
    for number in range(2):
        assert [id for source, id in found if source == f"/writer/{number}"] == expected
    assert len(found) == 2 * len(expected)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock between processes")
def test_a_line_that_another_process_is_writing_is_not_taken_for_a_torn_one(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "events.jsonl"
    with path.open("ab", buffering=0) as other, ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b'{"id":')
        sent = pool.submit(JsonLinesSink(path).send, rewards(1))
        wait([sent], timeout=0.1)  # long enough for a sink that does not wait
        other.write(b'"s-0"}\n')
        fcntl.flock(other, fcntl.LOCK_UN)
        assert sent.result(10) == ()
    assert [line["id"] for line in lines_of(path)] == ["s-0", "s-1"]


FORKS_WHILE_WRITING = """
    import os, sys, threading
    from partner_vouchers.sinks.jsonl import JsonLinesSink
    from tests.sinks.entries import rewards

    sink = JsonLinesSink(sys.argv[1])
    writing, forked, done, fsync = threading.Event(), threading.Event(), os.pipe(), os.fsync

    def wait_for_the_fork(file):
        writing.set()
        forked.wait()
        fsync(file)

    os.fsync = wait_for_the_fork
    thread = threading.Thread(target=sink.send, args=(rewards(1),))
    thread.start()
    writing.wait()
    child = os.fork()
    if not child:
        # The child writes too, once its parent has shown that it is not kept from writing.
        os.read(done[0], 1)
        forked.set()
        sink.send(rewards(1))
        os._exit(0)
    forked.set()
    thread.join()
    sink.send(rewards(1))
    os.write(done[1], b"x")
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_middle_of_a_batch_keeps_nobody_from_writing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with run(FORKS_WHILE_WRITING, path, start_new_session=True) as process:
        try:
            assert process.wait(60) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert [line["id"] for line in lines_of(path)] == ["s-1"] * 3


def test_a_durable_batch_is_on_the_disk_before_it_counts_as_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(file: int) -> None:
        fsync(file)
        synced.append("directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", note)
    JsonLinesSink(tmp_path / "fast.jsonl", durable=False).send(rewards(1))
    assert synced == []
    for _ in range(2):
        JsonLinesSink(tmp_path / "safe.jsonl").send(rewards(1))
    # The name of a new file must last as well.
    assert synced == ["file", "directory", "file"]
