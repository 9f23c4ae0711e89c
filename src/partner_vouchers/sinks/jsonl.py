"""A sink that appends events to a file, one JSON object on each line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from partner_vouchers.domain.arguments import require_instance
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Sink
from partner_vouchers.wire.cloud_events import CloudEvents
from partner_vouchers.wire.wording import Wording

if sys.platform != "win32":
    import fcntl

_BINARY = getattr(os, "O_BINARY", 0)
_lock = Lock()


class JsonLinesSink(Sink):
    """Appends each event to a file, as a CloudEvent on a line of its own.

    The file contains codes, so only its owner can read it. The sink opens it for each batch, so you can move it away
    at any time. Several processes on one machine can write to it.

    A line is never changed. If a process dies while it writes, or the disk is full, the last line may be incomplete.
    The next batch then begins on a new line and contains the events again. Readers skip lines that are not JSON, and
    recognise repeats by `id`.
    """

    takes_batches_in_order = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        source: str = "/partner-vouchers",
        names: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        events: Iterable[type[Event]] = (Event,),
        name: str = "jsonl",
    ) -> None:
        """Create the sink. The first event creates the file.

        Args:
            path: the file, in a directory that exists.
            durable: whether to wait until the disk has stored a batch. If False, a power failure can lose events
                that count as delivered.
            source: the `source` of the CloudEvents: a URI reference for the sender.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the events to write; others count as taken.
            name: the name of the sink in the storage.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        super().__init__(name, events, 1000)
        self._path = require_path(path)
        self._durable = require_instance("durable", durable, bool)
        self._to_json = CloudEvents(Wording(names, forms), require_name("source", source)).to_json

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        try:
            append_lines(self._path, [*map(self._to_json, entries)], durable=self._durable)
        except OSError as error:
            reason = f"cannot write {self._path}: {error.strerror}"
            raise SinkUnavailable(sink=self.name, reason=reason, sender_refused=True) from None
        return ()


def require_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that the operating system accepts.

    Raises:
        InvalidInput: it is anything else.
    """
    with suppress(TypeError, ValueError):
        if os.fspath(path) and b"\0" not in os.fsencode(path):
            return Path(path)
    raise InvalidInput(field="path", reason="must be the path of a file")


def append_lines(path: Path, lines: Sequence[str], *, durable: bool) -> None:
    """Append lines to a file that only its owner can read, whole even if other threads and processes append too.

    Args:
        path: the file; it is created if it does not exist.
        lines: the lines, without their ends.
        durable: whether to wait until the disk has stored them.

    Raises:
        OSError: the file cannot be written.
    """
    # Half a surrogate pair has no UTF-8 form: write it as JSON escapes it.
    text = "\n".join((*lines, "")).encode(errors="backslashreplace")
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)
    try:
        with _locked(file):
            size = os.lseek(file, 0, os.SEEK_END)
            if size and _last_byte(file, size) != b"\n":
                text = b"\n" + text
            while text:
                text = text[os.write(file, text) :]
            if durable:
                os.fsync(file)
                if not size:
                    _sync_directory(path.parent)
    finally:
        os.close(file)


@contextmanager
def _locked(file: int) -> Iterator[None]:
    if sys.platform == "win32":
        with _lock:
            yield
    else:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing the file would not unlock it while a forked child has a copy.
            fcntl.flock(file, fcntl.LOCK_UN)


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)


def _sync_directory(directory: Path) -> None:
    # On systems such as Windows, directories cannot be opened.
    with suppress(PermissionError):
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
