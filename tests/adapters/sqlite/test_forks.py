"""Forks: SQLite's locks are not inherited, so a child uses connections of its own, or nothing at all."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.adapters.sqlite.conftest import ROOT
from tests.support.host import PATIENCE, Host, some_codes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

Play = Callable[[str], list[list[str]]]


@pytest.fixture
def list_id(request: pytest.FixtureRequest, host: Host) -> str:
    return host.a_list(*some_codes(getattr(request, "param", 40))).id


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported the library, and plays each scene in a child of its own."""
    command = [sys.executable, "-m", "tests.adapters.sqlite.forking", "serve"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def play(
    server: subprocess.Popen[str], host: Host, database: Path, list_id: str, tmp_path: Path
) -> Iterator[Play]:
    """Play a scene of `forking.py` in a process of its own; return what it said, sorted."""

    def play_scene(scene: str) -> list[list[str]]:
        assert server.stdin is not None
        assert server.stdout is not None
        output, errors = tmp_path / "output", tmp_path / "errors"
        # A pipe ends when the last of all children has ended.
        os.mkfifo(output)
        errors.touch()
        server.stdin.write(f"{scene} {database} {list_id} {output} {errors}\n")
        server.stdin.flush()
        said = output.read_text().splitlines()
        assert server.stdout.readline() == "0\n", errors.read_text()
        assert "Exception ignored" not in errors.read_text()
        return sorted(line.split(maxsplit=1) for line in said)

    yield play_scene
    assert len({held.code for held in host.vouchers.codes.assignments(list_id)}) == (
        host.vouchers.lists.get(list_id).distributed
    )
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    "scene, child, parent",
    [
        ("unopened", 2, 1),
        ("opened_before", 2, 2),
        ("thread_ends_its_transaction", 2, 1),
        ("thread_forks", 2, 3),
        ("daemon", 3, 3),
        ("multiprocessing_forks", 3, 3),
    ],
)
def test_both_sides_go_on_with_connections_of_their_own(
    host: Host, list_id: str, play: Play, scene: str, child: int, parent: int
) -> None:
    said = play(scene)
    assert [word for _, word in sorted(said, key=lambda line: line[1])] == some_codes(len(said))
    assert host.vouchers.lists.get(list_id).distributed == len(said)
    assert len(said) >= child + parent


FORKED = ["child", "storage_forked"]


@pytest.mark.parametrize(
    "scene, expected",
    [
        ("thread_goes_on", [FORKED] * 3 + [["parent", "PM000000"]]),
        (
            "own_transaction",
            [FORKED] * 3 + [["parent", "PM000000"]] * 2,
        ),
        ("child_leaves_the_transaction", [FORKED] * 2 + [["parent", "PM000000"]]),
        ("host_connection", [["child", "PM000001"], FORKED]),
        ("upload_in_this_thread", [FORKED, ["parent", "1"], ["parent", "PM000000"]]),
    ],
)
def test_a_child_that_inherits_an_open_connection_cannot_use_the_file(
    play: Play, scene: str, expected: list[list[str]]
) -> None:
    assert play(scene) == expected


def test_a_fork_waits_for_the_upload_of_another_thread(play: Play) -> None:
    assert play("upload_in_another_thread") == [
        ["child", "PM000000"],
        ["child", "PM000001"],
        ["parent", "41"],
        ["parent", "PM000002"],
    ]


@pytest.mark.parametrize(
    "scene, list_id",
    [
        ("signal_handler_forks", 100),
        pytest.param("signal_handler_forks_at_each_line", 10_000, marks=pytest.mark.deep),
    ],
    indirect=["list_id"],
)
def test_a_signal_handler_may_fork_at_any_line(play: Play, scene: str) -> None:
    said = [code for _, code in play(scene)]
    assert len(set(said)) == len(said) > 15


def test_a_child_whose_parent_has_exited_shares_the_file_with_others(
    host: Host, database: Path, list_id: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.sqlite.forking", "parent_exits", str(database), list_id],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    given = [process.stdout.readline().split()[1] for _ in range(2)]
    process.wait(PATIENCE)
    host.storage.close()  # type: ignore[attr-defined]
    given += host.give(list_id, "third process")
    rest, _ = process.communicate("go on\n", timeout=PATIENCE)
    given += [rest.split()[1]]
    assert given == some_codes(4)
    assert host.vouchers.lists.get(list_id).distributed == 4
