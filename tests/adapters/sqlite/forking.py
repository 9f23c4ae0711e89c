"""Processes that fork, and what parent and child get then. Each says `parent ...` or `child ...` on its output.

python -m tests.adapters.sqlite.forking <scene> <db> <list id>
python -m tests.adapters.sqlite.forking serve: play the scenes that are asked for, each in a child, which starts fast
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

from partner_vouchers.adapters.sqlite import SQLiteStorage, forks
from partner_vouchers.errors import PartnerVouchersError
from tests.adapters.sqlite.children import a_child, opened, say
from tests.support.host import FixedClock, Host


def attempt(who: str, call: Callable[[], object]) -> None:
    """Say what a call returns, or why it fails."""
    try:
        say(who, call())
    except PartnerVouchersError as error:
        say(who, error.code)


def give(who: str, host: Host, list_id: str, user: str) -> None:
    """Say which code was assigned, or why none was."""
    attempt(who, lambda: host.give(list_id, user)[0])


def child_gives(host: Host, path: str, list_id: str) -> None:
    """Fork; let both assign, the child by a new storage too."""
    with a_child() as is_child:
        if is_child:
            give("child", host, list_id, f"child {os.getpid()}")
            give("child", opened(path), list_id, f"child again {os.getpid()}")
    give("parent", host, list_id, f"parent {os.getpid()}")


@contextmanager
def a_transaction_in_a_thread(host: Host, list_id: str, ends: Callable[[], bool]) -> Iterator[None]:
    """Let another thread write until something is so."""
    writes, left = threading.Event(), threading.Event()

    def write() -> None:
        with host.storage.begin() as tx:
            tx.codes.take(list_id, 1)
            writes.set()
            while not ends() and not left.wait(0.001):
                pass

    thread = threading.Thread(target=write)
    thread.start()
    writes.wait()
    yield
    left.set()
    thread.join()


def unopened(path: str, list_id: str) -> None:
    child_gives(opened(path), path, list_id)


def opened_before(path: str, list_id: str) -> None:
    host = opened(path)
    give("parent", host, list_id, "before")
    child_gives(host, path, list_id)


def thread_ends_its_transaction(path: str, list_id: str) -> None:
    host = opened(path)
    with a_transaction_in_a_thread(host, list_id, ends=lambda: bool(forks._forking)):
        child_gives(host, path, list_id)


def thread_goes_on(path: str, list_id: str) -> None:
    host = Host(SQLiteStorage(path, busy_timeout=0.2), FixedClock())
    with a_transaction_in_a_thread(host, list_id, ends=lambda: False), a_child() as is_child:
        if is_child:
            child_of_an_open_transaction(host, path, list_id)
    give("parent", host, list_id, "parent")


def child_of_an_open_transaction(host: Host, path: str, list_id: str) -> None:
    give("child", host, list_id, "child")
    attempt("child", lambda: opened(path).give(list_id, "child"))
    with closing(sqlite3.connect(path)) as connection:
        attempt("child", lambda: host.vouchers.using(connection).partners.all())


def own_transaction(path: str, list_id: str) -> None:
    host = opened(path)
    with host.storage.begin() as tx:
        (taken,) = tx.codes.take(list_id, 1).codes
        with a_child() as is_child:
            if is_child:
                with suppress(sqlite3.Error):
                    say("child", tx.partners.all())
                child_of_an_open_transaction(host, path, list_id)
        say("parent", taken.code)
    give("parent", host, list_id, "parent")


def child_leaves_the_transaction(path: str, list_id: str) -> None:
    host = opened(path)
    pid = 1
    try:
        with host.storage.begin() as tx:
            tx.settings.put("colour", "green")
            pid = os.fork()
            tx.commit()
    except PartnerVouchersError as error:
        say("child", error.code)
    if pid == 0:
        give("child", host, list_id, "child")
        os._exit(0)
    os.waitpid(pid, 0)
    give("parent", host, list_id, "parent")


def host_connection(path: str, list_id: str) -> None:
    host = opened(path)
    connection = sqlite3.connect(path)
    host.vouchers.using(connection).codes.assign(list_id=list_id, user_id="before")
    connection.commit()
    with a_child() as is_child:
        if is_child:
            give("child", host, list_id, "child")
            connection.close()
            give("child", host, list_id, "child")
    host.vouchers.using(connection).codes.assign(list_id=list_id, user_id="parent")
    connection.commit()
    connection.close()


def upload_in_this_thread(path: str, list_id: str) -> None:
    host = opened(path)

    def fork(_progress: object) -> None:
        with a_child() as is_child:
            if is_child:
                give("child", host, list_id, "child")

    say("parent", host.upload(list_id, "NEW", progress=fork).accepted)
    give("parent", host, list_id, "parent")


def upload_in_another_thread(path: str, list_id: str) -> None:
    host = opened(path)
    runs = threading.Event()

    def until_forking(_progress: object) -> None:
        runs.set()
        while not forks._forking:
            runs.wait(0.001)

    upload = threading.Thread(target=partial(host.upload, list_id, "NEW", progress=until_forking))
    upload.start()
    runs.wait()
    child_gives(host, path, list_id)
    upload.join()
    say("parent", host.vouchers.lists.get(list_id).uploaded)


def thread_forks(path: str, list_id: str) -> None:
    host = opened(path)
    give("parent", host, list_id, "before")
    thread = threading.Thread(target=child_gives, args=(host, path, list_id))
    thread.start()
    thread.join()
    give("parent", host, list_id, "after")


def signal_handler_forks(path: str, list_id: str, stride: int = 15) -> None:
    """Fork at a line of an assignment, as a signal handler may, and at lines behind it until it ends before."""
    host = opened(path)
    children = 0

    def fork(_signal: object, _frame: object) -> None:
        nonlocal children
        pid = os.fork()
        if pid == 0:
            try:
                host.give(list_id, "child")
                os._exit(0)
            except PartnerVouchersError as error:
                os._exit(3 if error.code == "storage_forked" else 4)
        children += 1
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, 3)

    signal.signal(signal.SIGUSR1, fork)
    for number in itertools.count(1, stride):
        lines = 0

        def at_line(_frame: object, event: str, _argument: object, number: int = number) -> object:
            nonlocal lines
            lines += 1
            if lines == number:
                signal.raise_signal(signal.SIGUSR1)
            return at_line

        sys.settrace(at_line)  # type: ignore[arg-type]
        code = host.give(list_id, f"parent {number}")
        sys.settrace(None)
        say("parent", *code)
        if lines < number:
            break
    assert children >= 15


def signal_handler_forks_at_each_line(path: str, list_id: str) -> None:
    signal_handler_forks(path, list_id, stride=1)


def daemon(path: str, list_id: str) -> None:
    """The parent exits, and so does its child; only the grandchild goes on."""
    host = opened(path)
    give("parent", host, list_id, "before")
    with a_child() as is_child:
        if is_child:
            os.setsid()
            with a_child() as is_daemon:
                if is_daemon:
                    give("child", host, list_id, "daemon")
                    child_gives(host, path, list_id)
    give("parent", host, list_id, "after")


def parent_exits(path: str, list_id: str) -> None:
    """The parent's connections are gone while the child uses its own."""
    host = opened(path)
    give("parent", host, list_id, "before")
    if os.fork() == 0:
        give("child", host, list_id, "child")
        sys.stdin.readline()
        give("child", host, list_id, "late child")
    host.storage.close()  # type: ignore[attr-defined]


def multiprocessing_forks(path: str, list_id: str) -> None:
    host = opened(path)
    give("parent", host, list_id, "before")
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=give, args=("child", host, list_id, f"child {number}")) for number in range(3)
    ]
    for child in children:
        child.start()
    give("parent", host, list_id, "meanwhile")
    for child in children:
        child.join()
    give("parent", host, list_id, "after")


SCENES: dict[str, Callable[[str, str], None]] = {
    scene.__name__: scene
    for scene in (
        unopened,
        opened_before,
        thread_ends_its_transaction,
        thread_goes_on,
        own_transaction,
        child_leaves_the_transaction,
        host_connection,
        upload_in_this_thread,
        upload_in_another_thread,
        thread_forks,
        signal_handler_forks,
        signal_handler_forks_at_each_line,
        daemon,
        multiprocessing_forks,
        parent_exits,
    )
}


def serve() -> None:
    """Play scenes in children: a line of the input names a scene, its arguments, and files for output and errors."""
    for line in sys.stdin:
        scene, path, list_id, output, errors = line.split()
        pid = os.fork()
        if pid == 0:
            for file, descriptor in ((output, 1), (errors, 2)):
                os.dup2(os.open(file, os.O_WRONLY), descriptor)
            SCENES[scene](path, list_id)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        SCENES[sys.argv[1]](*sys.argv[2:])
