"""The file, or one that belongs to it, is deleted or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from partner_vouchers.adapters.sqlite import SQLiteStorage, files
from partner_vouchers.errors import StorageError, StorageReplaced
from tests.adapters.sqlite.conftest import open_now
from tests.support.host import FixedClock, Host


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


def delete_the_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def delete_the_index_of_the_log(path: Path) -> None:
    path.with_name(path.name + "-shm").unlink()


def empty_file(path: Path) -> None:
    path.unlink()
    path.touch()


def restore_a_backup(path: Path) -> None:
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    backup.replace(path)


def copy_over(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def move_and_create(path: Path) -> None:
    path.rename(path.with_name("old.db"))
    open_now(path).close()


def move_the_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replace_the_directory(path: Path) -> None:
    move_the_directory(path)
    path.parent.mkdir()
    shutil.copy(path.parent.with_name("elsewhere") / path.name, path)


WAYS = [
    delete,
    delete_all,
    delete_the_log,
    delete_the_index_of_the_log,
    empty_file,
    restore_a_backup,
    copy_over,
    move_and_create,
    move_the_directory,
    replace_the_directory,
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "vouchers.db"


def every_call_is_refused(host: Host, list_id: str) -> None:
    for call in (
        lambda: host.give(list_id, "ben"),
        lambda: host.vouchers.codes.assign_many(["ben"], list_id=list_id),
        lambda: host.vouchers.lists.get(list_id),
        lambda: host.vouchers.partners.add("Nike"),
        lambda: host.upload(list_id, "B"),
    ):
        with pytest.raises(StorageReplaced, match=r"vouchers\.db|current") as refused:
            call()
        assert isinstance(refused.value, StorageError)
        assert refused.value.code == "storage_replaced"


@pytest.mark.parametrize("settled", [True, False], ids=["later", "at once"])
@pytest.mark.parametrize("way", WAYS)
def test_no_code_is_given_from_a_file_that_is_not_there_any_more(
    host: Host, database: Path, way: Callable[[Path], None], settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settled:
        # The directory has been left alone for so long that one look at it is enough.
        monkeypatch.setattr(files, "_SETTLED_NS", -1)
    found = host.a_list("A", "B", "C")
    host.give(found.id, "ann")
    way(database)
    every_call_is_refused(host, found.id)


@pytest.mark.parametrize("way", WAYS)
def test_a_transaction_is_not_committed_into_such_a_file(
    host: Host, storage: SQLiteStorage, database: Path, way: Callable[[Path], None]
) -> None:
    if way is restore_a_backup:
        pytest.skip("VACUUM waits for the transaction")
    found = host.a_list("A", "B")

    def take_a_code() -> None:
        with storage.begin() as tx:
            assert tx.codes.take(found.id, 1).codes
            way(database)
            tx.commit()

    with pytest.raises(StorageReplaced):
        take_a_code()
    every_call_is_refused(host, found.id)


@pytest.mark.parametrize("file", ["", "vouchers.db"], ids=["to the file", "to its directory"])
def test_a_link_that_leads_elsewhere_is_noticed(tmp_path: Path, file: str) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    target = "" if file else "vouchers.db"
    link.symlink_to(tmp_path / "a" / target)
    storage = SQLiteStorage(link / file, synchronous="NORMAL")
    host = Host(storage, FixedClock())
    found = host.a_list("A", "B")
    link.unlink()
    link.symlink_to(tmp_path / "b" / target)
    every_call_is_refused(host, found.id)
    storage.close()


def test_a_file_that_is_replaced_behind_a_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file, link = tmp_path / "a" / "vouchers.db", tmp_path / "current.db"
    link.symlink_to(file)
    storage = SQLiteStorage(link, synchronous="NORMAL")
    host = Host(storage, FixedClock())
    found = host.a_list("A", "B")
    # In the directory of the link nothing has happened for long.
    os.utime(tmp_path, ns=(0, 0))
    host.give(found.id, "ann")
    file.rename(tmp_path / "a" / "old.db")
    every_call_is_refused(host, found.id)
    storage.close()


def test_a_hosts_connection_to_such_a_file_is_refused(host: Host, database: Path) -> None:
    found = host.a_list("A", "B")
    with closing(sqlite3.connect(database)) as connection:
        joined = host.vouchers.using(connection)
        joined.codes.assign(list_id=found.id, user_id="ann")
        connection.commit()
        database.unlink()
        with pytest.raises(StorageReplaced):
            joined.codes.assign(list_id=found.id, user_id="ben")


def test_what_is_put_back_can_be_used_on(host: Host, database: Path) -> None:
    found = host.a_list("A", "B")
    database.rename(database.with_name("away.db"))
    with pytest.raises(StorageReplaced):
        host.give(found.id, "ann")
    database.with_name("away.db").rename(database)
    assert host.give(found.id, "ann") == ["A"]


def test_a_closed_storage_opens_whatever_is_there(host: Host, storage: SQLiteStorage, database: Path) -> None:
    host.a_list("A")
    storage.close()
    database.unlink()
    assert host.vouchers.partners.all() == []


def test_other_files_of_the_directory_may_come_and_go(
    host: Host, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SETTLED_NS", -1)
    found = host.a_list("A", "B", "C")
    for number, code in enumerate("ABC"):
        database.with_name(f"other {number}").touch()
        assert host.give(found.id, f"user-{number}") == [code]


@pytest.mark.parametrize("seconds, looks", [(0.5, 1), (0.05, 2), (2, 2), (4, 1)])
def test_each_file_is_looked_at_while_a_change_could_keep_the_time_of_the_directory(
    host: Host, database: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    """A time in whole seconds may come from a file system that knows no others."""
    found, seen = host.a_list("A", "B"), list[None]()
    changed = 1_700_000_000 * files._SECOND_NS + (1 if seconds < 1 else 0)
    os.utime(database.parent, ns=(changed, changed))
    monkeypatch.setattr(time, "time_ns", lambda: int(changed + seconds * files._SECOND_NS))
    present = files.DatabaseFile._present

    def look(file: files.DatabaseFile) -> files.Files:
        seen.append(None)
        return present(file)

    monkeypatch.setattr(files.DatabaseFile, "_present", look)
    for user in ("ann", "ben"):
        host.give(found.id, user)
    assert len(seen) == looks
