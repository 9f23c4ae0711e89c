"""A sink that appends events to a file, one JSON text a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None  # type: ignore[assignment]

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter
from partner_vouchers.wire.cloud_events import to_cloud_event
from partner_vouchers.wire.wording import Wording, to_json

_BINARY = getattr(os, "O_BINARY", 0)


class JsonLinesSink:
    """Appends each event to a file, as a CloudEvents envelope on a line of its own.

    The file holds codes: it is created readable by its owner only. It is opened for each batch, so it may be
    moved away at any time. Several processes may write to it, on a file system of this machine.

    Nothing in the file is ever changed. Where a process died while it wrote, or the disk was full, the last line
    may be a part of one: the next batch then begins on a new line, and the events are written again. A reader
    skips lines that are no JSON, and tells repeats by `id`.

    Attributes:
        name: what the storage remembers the sink by.
        batch_size: the most events that `send` takes at once.
        concurrency: how many calls of `send` may run at the same time.
    """

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
        """Choose the file; it is created by the first event.

        Args:
            path: the file, in a directory that exists.
            durable: whether a batch counts as taken only when the disk has it. Without, a power failure may
                lose events that the storage takes for delivered.
            source: the `source` of the envelopes: a URI reference that stands for the sender.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the events to write; others count as taken.
            name: what the storage remembers the sink by.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self.name: str = require_name("name", name)
        self.batch_size: int = 1000
        self.concurrency: int = 1
        self._path = Path(path)
        self._durable = durable
        self._source = require_name("source", source)
        self._wording = Wording(names, forms)
        self._takes = EventFilter(events)
        self._lock = Lock()

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """See `ports.EventSink`."""
        lines = [
            to_json(to_cloud_event(entry, self._wording, self._source)) for entry in self._takes(entries)
        ]
        if lines:
            try:
                self._append("\n".join([*lines, ""]).encode())
            except OSError as error:
                reason = f"cannot write {self._path}: {error.strerror}"
                raise SinkUnavailable(sink=self.name, reason=reason) from None
        return ()

    def _append(self, text: bytes) -> None:
        with self._lock:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)
            try:
                if fcntl is not None:
                    # Until the file is closed: nobody else's line is torn while this one looks at its end.
                    fcntl.flock(file, fcntl.LOCK_EX)
                size = os.lseek(file, 0, os.SEEK_END)
                if size and _last_byte(file, size) != b"\n":
                    text = b"\n" + text
                while text:
                    text = text[os.write(file, text) :]
                if self._durable:
                    os.fsync(file)
                    if not size:
                        _sync_directory(self._path.parent)
            finally:
                os.close(file)


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)


def _sync_directory(directory: Path) -> None:
    # Where directories cannot be opened, as on Windows, there is nothing to do.
    with suppress(PermissionError):
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
