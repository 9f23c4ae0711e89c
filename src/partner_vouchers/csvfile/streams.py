"""Iterators of bytes as files, and files of any kind as something that can be read twice."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from attrs import frozen

from partner_vouchers.domain.text import has_control_character
from partner_vouchers.errors import InvalidInput, SourceUnreadable

CodeSource = Path | str | bytes | BinaryIO
"""A file of codes, as a path, the bytes themselves, or a binary stream."""

PIECE = 512 * 1024


@frozen
class OpenSource:
    """A file that was opened and measured.

    Attributes:
        stream: a seekable stream, at its start.
        size: bytes of the file; where it is over the limit, some number above the limit.
        sha256: hexadecimal SHA-256; of a file over the limit only of its start.
    """

    stream: BinaryIO
    size: int
    sha256: str


def source_filename(source: CodeSource, filename: str | None) -> str:
    """Return the name of a file to upload: as given, or else that of the path or stream.

    Raises:
        InvalidInput: no name is known, or the source is of a kind that cannot be read.
    """
    if filename is not None:
        if not isinstance(filename, str):
            raise InvalidInput(field="filename", reason="must be a string")
        return _storable(filename)
    if isinstance(source, Path | str):
        return _storable(Path(source).name)
    name = getattr(source, "name", None)
    if isinstance(name, str) and name:
        return _storable(Path(name).name)
    raise InvalidInput(field="filename", reason="is needed for bytes and for streams that have no name")


def _storable(filename: str) -> str:
    # The name of a path may hold bytes that are no text in the system's encoding: Python makes surrogates of them.
    if has_control_character(filename):
        raise InvalidInput(
            field="filename", reason="holds control characters or bytes that are no text; pass another name"
        )
    return filename


@contextmanager
def open_source(source: CodeSource, filename: str, limit: int) -> Iterator[OpenSource]:
    """Open a file and measure it, reading no more than a little over `limit` bytes.

    A stream is copied to a temporary file first, since it is read twice and may not be seekable.

    Raises:
        SourceUnreadable: it cannot be opened or read.
        InvalidInput: it is neither path, bytes nor binary stream.
    """
    try:
        stream = _open(source, limit)
    except _READ_ERRORS as error:
        raise _unreadable(filename, error) from error
    with stream:
        try:
            size, digest = _measure(stream, limit)
            stream.seek(0)
        except _READ_ERRORS as error:
            raise _unreadable(filename, error) from error
        yield OpenSource(stream, size, digest)


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what is left in a stream, in pieces of half a megabyte."""
    while piece := stream.read(PIECE):
        yield piece


def as_binary_stream(pieces: Iterator[bytes]) -> BinaryIO:
    """Return a readable stream of pieces, which are asked for only when they are read."""
    return cast(BinaryIO, io.BufferedReader(_Pieces(pieces), buffer_size=PIECE))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


# A closed stream, and a path with a NUL in it, raise a ValueError.
_READ_ERRORS = (OSError, ValueError)


def _unreadable(filename: str, error: OSError | ValueError) -> SourceUnreadable:
    # The text of another error could quote what was read.
    reason = error.strerror if isinstance(error, OSError) else None
    return SourceUnreadable(filename=filename, reason=reason or type(error).__name__)


def _open(source: object, limit: int) -> BinaryIO:
    if isinstance(source, Path | str):
        opened = Path(source).open("rb")  # noqa: SIM115 - closed by the caller
        if opened.seekable():
            return opened
        with opened:
            return _copy(opened.read, limit)
    if isinstance(source, bytes):
        return io.BytesIO(source)
    read = getattr(source, "read", None)
    if not callable(read):
        raise InvalidInput(field="source", reason="must be a path, bytes, or a binary stream")
    return _copy(read, limit)


def _copy(read: Callable[[int], object], limit: int) -> BinaryIO:
    spooled = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by the caller
    try:
        copied = 0
        while copied <= limit:
            piece = read(PIECE)
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise InvalidInput(
                    field="source", reason="must be a binary stream: its read() returned no bytes"
                )
            if not piece:
                break
            spooled.write(piece)
            copied += len(piece)
        spooled.seek(0)
    except BaseException:
        spooled.close()
        raise
    return spooled


def _measure(stream: BinaryIO, limit: int) -> tuple[int, str]:
    digest = sha256()
    size = 0
    while size <= limit and (piece := stream.read(PIECE)):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()
