"""A disk between SQLite and the files, in which each call can be made to fail, or be written down.

The driver under test is the real one, `sqlite3` of the standard library. Python finds the SQLite library that this
driver has loaded and registers a VFS (https://sqlite.org/vfs.html) with it: a copy of the default one whose methods
pass through here. Nothing of the adapter is replaced. Where the library hides its functions, as one that is linked
into Python may, `disk()` raises `NoVFS`.
"""

from __future__ import annotations

import ctypes
import importlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

OK: Final = 0
FULL: Final = 13
CANTOPEN: Final = 14
IOERR: Final = {
    "read": 10 | 1 << 8,
    "write": 10 | 3 << 8,
    "sync": 10 | 4 << 8,
    "truncate": 10 | 6 << 8,
    "delete": 10 | 10 << 8,
    "shared memory": 10 | 21 << 8,
    "open": CANTOPEN,
}
"""The result codes of https://sqlite.org/rescode.html by the kind of the call that fails."""

_CREATE: Final = 0x4
_NAME = b"pv-faults"


class NoVFS(Exception):
    """The SQLite library of this Python cannot be reached."""


@dataclass(frozen=True)
class Call:
    """A call of SQLite's to its disk.

    Attributes:
        kind: a key of `IOERR`.
        file: the name of the file; empty for one without a name, which SQLite deletes by itself.
        offset: where it reads or writes, or the new size.
        data: what it writes.
        created: whether it opens a file that need not exist.
    """

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""
    created: bool = False


@dataclass(frozen=True)
class Fail:
    """What becomes of a call that fails.

    Attributes:
        code: what SQLite is told.
        written: how many bytes of a write reach the file all the same.
    """

    code: int
    written: int = 0


Watch = Callable[[Call], Fail | None]
"""Decides about each call: None lets it succeed."""


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.c_void_p)]


_int, _i64, _ptr = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
_file = ctypes.POINTER(_File)
_Close = ctypes.CFUNCTYPE(_int, _file)
_ReadWrite = ctypes.CFUNCTYPE(_int, _file, _ptr, _int, _i64)
_Truncate = ctypes.CFUNCTYPE(_int, _file, _i64)
_Sync = ctypes.CFUNCTYPE(_int, _file, _int)
_ShmMap = ctypes.CFUNCTYPE(_int, _file, _int, _int, _int, _ptr)


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`; what is not touched is an address."""

    _fields_ = [
        ("version", _int),
        ("close", _Close),
        ("read", _ReadWrite),
        ("write", _ReadWrite),
        ("truncate", _Truncate),
        ("sync", _Sync),
        ("file_size", _ptr),
        ("lock", _ptr),
        ("unlock", _ptr),
        ("check_reserved_lock", _ptr),
        ("file_control", _ptr),
        ("sector_size", _ptr),
        ("device_characteristics", _ptr),
        ("shm_map", _ShmMap),
        ("shm_lock", _ptr),
        ("shm_barrier", _ptr),
        ("shm_unmap", _ptr),
        ("fetch", _ptr),
        ("unfetch", _ptr),
    ]


_Open = ctypes.CFUNCTYPE(_int, _ptr, _ptr, _file, _int, ctypes.POINTER(_int))
_Delete = ctypes.CFUNCTYPE(_int, _ptr, _ptr, _int)


class _VFS(ctypes.Structure):
    """`sqlite3_vfs`, without its third version's system calls."""

    _fields_ = [
        ("version", _int),
        ("file_bytes", _int),
        ("longest_path", _int),
        ("next", _ptr),
        ("name", ctypes.c_char_p),
        ("app_data", _ptr),
        ("open", _Open),
        ("delete", _Delete),
        ("access", _ptr),
        ("full_pathname", _ptr),
        ("dl_open", _ptr),
        ("dl_error", _ptr),
        ("dl_sym", _ptr),
        ("dl_close", _ptr),
        ("randomness", _ptr),
        ("sleep", _ptr),
        ("current_time", _ptr),
        ("last_error", _ptr),
        ("current_time_64", _ptr),
        ("system_calls", _ptr * 3),
    ]


class _Disk:
    """The VFS. It lives as long as the process, since SQLite may call it at any time."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._names: dict[int, str] = {}
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self._library = _library()
        self._default = self._library.sqlite3_vfs_find(None)
        self._original = _VFS.from_address(self._default)
        self._vfs = _VFS.from_buffer_copy(self._original)
        self._vfs.name = _NAME
        self._vfs.next = None
        self._vfs.open = _Open(self._open)
        self._vfs.delete = _Delete(self._delete)

    @contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """Let connections that are opened in the context use this disk, which asks `watch` about each call."""
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None

    @contextmanager
    def inserted(self) -> Iterator[None]:
        """Give this disk to all connections that are opened in the context."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        try:
            yield
        finally:
            self._library.sqlite3_vfs_register(self._default, 1)

    def _decide(self, call: Call) -> Fail | None:
        return None if self._watch is None else self._watch(call)

    def _name(self, file: Any) -> str:
        return self._names.get(ctypes.addressof(file.contents), "")

    def _real(self, file: Any) -> _Methods:
        return self._methods[file.contents.methods][0]

    def _open(self, vfs: int, path: int | None, file: Any, flags: int, out: Any) -> int:
        name = "" if path is None else ctypes.string_at(path).decode()
        failed = self._decide(Call("open", name, created=bool(flags & _CREATE)))
        if failed is not None:
            file.contents.methods = None
            return failed.code
        result: int = self._original.open(vfs, path, file, flags, out)
        methods = file.contents.methods
        if result == OK and methods:
            self._names[ctypes.addressof(file.contents)] = name
            file.contents.methods = self._wrapped(methods)
        return result

    def _wrapped(self, address: int) -> int:
        """Return the address of a copy of these methods that leads here."""
        for known, (real, _) in self._methods.items():
            if ctypes.addressof(real) == address:
                return known
        real = _Methods.from_address(address)
        mine = _Methods.from_buffer_copy(real)
        mine.close, mine.read, mine.write = (
            _Close(self._close),
            _ReadWrite(self._read),
            _ReadWrite(self._write),
        )
        mine.truncate, mine.sync = _Truncate(self._truncate), _Sync(self._sync)
        if real.version >= 2 and real.shm_map:
            mine.shm_map = _ShmMap(self._shm_map)
        self._methods[ctypes.addressof(mine)] = (real, mine)
        return ctypes.addressof(mine)

    def _close(self, file: Any) -> int:
        real = self._real(file)
        self._names.pop(ctypes.addressof(file.contents), None)
        result: int = real.close(file)
        return result

    def _read(self, file: Any, buffer: int, amount: int, offset: int) -> int:
        failed = self._decide(Call("read", self._name(file), offset))
        if failed is not None:
            return failed.code
        result: int = self._real(file).read(file, buffer, amount, offset)
        return result

    def _write(self, file: Any, buffer: int, amount: int, offset: int) -> int:
        failed = self._decide(Call("write", self._name(file), offset, ctypes.string_at(buffer, amount)))
        if failed is not None:
            if failed.written:
                self._real(file).write(file, buffer, min(failed.written, amount), offset)
            return failed.code
        result: int = self._real(file).write(file, buffer, amount, offset)
        return result

    def _truncate(self, file: Any, size: int) -> int:
        failed = self._decide(Call("truncate", self._name(file), size))
        if failed is not None:
            return failed.code
        result: int = self._real(file).truncate(file, size)
        return result

    def _sync(self, file: Any, flags: int) -> int:
        # What is durable is for `watch` to say, not for the disk of this machine, which would take its time.
        failed = self._decide(Call("sync", self._name(file)))
        return OK if failed is None else failed.code

    def _shm_map(self, file: Any, region: int, size: int, extend: int, out: int) -> int:
        failed = self._decide(Call("shared memory", self._name(file), region))
        if failed is not None:
            ctypes.c_void_p.from_address(out).value = None
            return failed.code
        result: int = self._real(file).shm_map(file, region, size, extend, out)
        return result

    def _delete(self, vfs: int, path: int, sync: int) -> int:
        failed = self._decide(Call("delete", ctypes.string_at(path).decode()))
        if failed is not None:
            return failed.code
        result: int = self._original.delete(vfs, path, sync)
        return result


@cache
def disk() -> _Disk:
    """Return the disk of this process.

    Raises:
        NoVFS: SQLite cannot be reached.
    """
    made = _Disk()
    calls: list[Call] = []
    with (
        TemporaryDirectory() as directory,
        made.inserted(),
        made.watched(lambda call: calls.append(call)),
    ):
        connection = sqlite3.connect(Path(directory, "probe.db"))
        connection.execute("CREATE TABLE t (x)")
        connection.close()
    if not {"open", "write", "sync"} <= {call.kind for call in calls}:
        raise NoVFS("the library that was found is not the one that sqlite3 uses")
    return made


def _library() -> Any:
    driver = importlib.import_module("_sqlite3")
    # Functions are looked up in the driver and in all that it was linked with.
    library = ctypes.CDLL(getattr(driver, "__file__", None))
    try:
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.sqlite3_libversion.restype = ctypes.c_char_p
    except AttributeError as error:
        raise NoVFS("the SQLite library of this Python hides its functions") from error
    if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
        raise NoVFS("the library that was found is not the one that sqlite3 uses")
    return library
