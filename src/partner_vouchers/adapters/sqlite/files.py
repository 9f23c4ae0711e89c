"""Notice that the database file was deleted or replaced while it is open."""

from __future__ import annotations

import os
import time
from pathlib import Path

from partner_vouchers.adapters.sqlite.forks import FileId
from partner_vouchers.errors import StorageReplaced

_FILES = "", "-wal", "-shm"
_SECOND_NS = 1_000_000_000
# Longer than the steps in which a file system counts the time of a change: up to two seconds if it has whole ones
# only, otherwise 10 ms, since the clock of a system ticks at least as often.
_SETTLED_WHOLE_NS, _SETTLED_NS = 2_500_000_000, 100_000_000


Files = tuple[FileId | None, ...]
"""The database, its write-ahead log, and the index of that."""


class DatabaseFile:
    """The path of a database, and the file that was opened there.

    Deleting, renaming and creating a file changes the time of its directory. So one look at the directory tells, nearly
    always, that all three files are still the same.

    Attributes:
        id: the file that was opened; None before.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._directory = str(Path(path).parent)
        self.id: FileId | None = None
        self._seen: tuple[tuple[int, int, int], Files] | None = None
        self._is_link = False

    def opened(self) -> Files:
        """Return the files of a connection that was just opened, and has read.

        From then on SQLite itself leaves them in place until that connection is closed.

        Raises:
            StorageReplaced: the database is another file than before.
        """
        files = self._present()
        known = self.id
        if known is None:
            # A link can be changed, and files in another directory, without a trace in this one.
            self._is_link = os.path.realpath(self.path) != self.path
            self.id = files[0]
        elif files[0] != known:
            raise self._replaced()
        return files

    def forget(self) -> None:
        """Accept any file at the next opening of the path."""
        self.id = None

    def require_main(self) -> None:
        """Check that the path leads to the same database.

        Raises:
            StorageReplaced: it does not.
        """
        main = self.id
        if main is not None and _identify(self.path) != main:
            raise self._replaced()

    def require_same(self, files: Files) -> None:
        """Check that the path leads to the files that a connection has open.

        Raises:
            StorageReplaced: it does not.
        """
        try:
            found = os.stat(self._directory)  # noqa: PTH116 - of all calls the cheapest
        except OSError as error:
            raise self._replaced() from error
        directory = found.st_dev, found.st_ino, found.st_mtime_ns
        seen = self._seen
        if seen is None or seen[0] != directory:
            seen = directory, self._present()
            settled = _SETTLED_NS if found.st_mtime_ns % _SECOND_NS else _SETTLED_WHOLE_NS
            if not self._is_link and time.time_ns() - found.st_mtime_ns > settled:
                self._seen = seen
        if seen[1] != files:
            raise self._replaced()

    def _present(self) -> Files:
        return tuple(_identify(self.path + suffix) for suffix in _FILES)

    def _replaced(self) -> StorageReplaced:
        return StorageReplaced(
            reason=f"{self.path!r} or its -wal or -shm file was deleted, moved or replaced while it was open, and "
            "nothing is written to it any more; put the right files in place, then restart the program or close the "
            "storage"
        )


def _identify(path: str) -> FileId | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - of all calls the cheapest
    except OSError:
        return None
    return found.st_dev, found.st_ino
