"""Fork: SQLite's record of the file locks of a process is in its memory, so a child inherits it without the locks.

A child that uses it believes that it holds locks that it does not hold: codes were assigned twice. So the connections
are closed before a fork. A file to which the child still has an open descriptor afterwards, because a transaction
went on or the host has its own connection, cannot be used in the child:
https://sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from partner_vouchers.errors import StorageForked
from partner_vouchers.locks import Token

if TYPE_CHECKING:
    from partner_vouchers.adapters.sqlite.connections import Connections

FileId = tuple[int, int]
"""The device and the number of a file."""

_DESCRIPTORS = "/proc/self/fd", "/dev/fd"
_LOOK_AGAIN = 0.001


_pools: weakref.WeakSet[Connections] = weakref.WeakSet()
_users: dict[Token, tuple[int, Connections]] = {}
# The thread that forks, while it does.
_forking: list[int] = []
# The files that this process inherited open from its parent.
_inherited: set[FileId] = set()


def register(pool: Connections) -> None:
    """Close a pool's connections before each fork."""
    _pools.add(pool)


def enter(token: Token, pool: Connections) -> None:
    """Note that the context of a token uses connections of a pool; wait while another thread forks."""
    thread = threading.get_ident()
    _users[token] = thread, pool
    if not _forking:
        return
    while _forking and thread not in _forking and not _has_others(token, thread):
        del _users[token]
        time.sleep(_LOOK_AGAIN)
        _users[token] = thread, pool


def leave(token: Token) -> None:
    """Note that the context of a token has ended."""
    _users.pop(token, None)


def require_unforked(path: str) -> None:
    """Check that this process may use a file.

    Raises:
        StorageForked: it inherited an open connection to it.
    """
    if not _inherited:
        return
    with suppress(FileNotFoundError):
        found = os.stat(path)  # noqa: PTH116 - of all calls the cheapest
        file = found.st_dev, found.st_ino
        if file not in _inherited:
            return
        still_open = _open_files()
        if still_open is not None:
            _inherited.intersection_update(still_open)
        if file in _inherited:
            raise StorageForked(
                reason=f"this process was forked while a transaction, or a connection of your own, was open on "
                f"{path!r}, so SQLite's locks do not work here; use the file in another process, and fork when no "
                "connection is open"
            )


def _has_others(token: Token, thread: int) -> bool:
    # This thread would wait for its own transaction.
    return any(
        user == thread and other is not token and other() is not None
        for other, (user, _) in list(_users.items())
    )


def _before() -> None:
    thread = threading.get_ident()
    _forking.append(thread)
    users = {token: user for token, user in _users.items() if token() is not None}
    # The transaction of this thread would never end.
    hopeless = {pool for user, pool in users.values() if user == thread}
    waiting = [token for token, (user, pool) in users.items() if pool not in hopeless]
    deadline = time.monotonic() + max((pool.timeout for pool in _pools), default=0)
    while any(token() is not None and token in _users for token in waiting):
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_AGAIN)
    for pool in list(_pools):
        pool.close_for_fork()


def _in_child() -> None:
    _forking.clear()
    _users.clear()
    _inherited.update(_open_files() or ())
    for pool in list(_pools):
        if pool.forget() and pool.file.id is not None:
            _inherited.add(pool.file.id)


def _open_files() -> set[FileId] | None:
    """Return the files that this process has open; None if the system does not say."""
    for directory in _DESCRIPTORS:
        with suppress(OSError):
            found = set[FileId]()
            for name in os.listdir(directory):  # noqa: PTH208 - numbers, not paths
                with suppress(OSError):
                    status = os.fstat(int(name))
                    if stat.S_ISREG(status.st_mode):
                        found.add((status.st_dev, status.st_ino))
            return found
    return None


if hasattr(os, "register_at_fork"):
    # A function in C ends the fork, so no signal interrupts it.
    os.register_at_fork(before=_before, after_in_parent=_forking.clear, after_in_child=_in_child)
