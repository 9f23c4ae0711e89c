"""Open files of any kind so that they can be read twice, and make streams of iterators of bytes."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from attrs import frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.uploads import require_filename
from partner_vouchers.errors import InvalidInput, SourceUnreadable

CodeSource = Path | str | bytes | BinaryIO
"""A file of codes, as a path, the bytes themselves, or a binary stream."""

PIECE = 512 * 1024
"""How many bytes are read, and stored, at once."""

_LINE_BREAK = re.compile(r"[\r\n]")
_LIKE_A_PATH = re.compile(r"[./\\]")


@frozen
class OpenSource:
    """A file that was opened and measured.

    Attributes:
        stream: a seekable stream, at its start.
        limit: how many bytes it may have.
        size: bytes of the file; where it is over the limit, some number above the limit.
        sha256: hexadecimal SHA-256; of a file over the limit only of its start.
    """

    stream: BinaryIO
    limit: int
    size: int
    sha256: str

    @property
    def is_too_large(self) -> bool:
        """Whether the file is over the limit."""
        return self.size > self.limit


def source_filename(source: CodeSource, filename: str | None) -> str:
    """Return the name of a file to upload: as given, or else that of the path or stream.

    Raises:
        InvalidInput: no name is known, the name breaks its rule, or the source is a string of several lines.
    """
    if isinstance(source, str) and _LINE_BREAK.search(source):
        raise InvalidInput(
            field="source",
            reason="a string is the path of a file, and this one has a line break; pass bytes for the content",
        )
    if filename is not None:
        return require_filename(filename)
    if isinstance(source, Path | str):
        return require_filename(Path(source).name)
    name = getattr(source, "name", None)
    if isinstance(name, str) and name:
        return require_filename(Path(name).name)
    raise InvalidInput(field="filename", reason="is needed for bytes and for streams that have no name")


@contextmanager
def open_source(
    source: CodeSource,
    filename: str,
    limit_of: Callable[[bytes], int],
    *,
    keeps_position: bool = False,
) -> Iterator[OpenSource]:
    """Open a file and measure it, reading no more than a little over its limit.

    A stream is copied to a temporary file first, since it is read twice and may not be seekable.

    Args:
        source: the file.
        filename: its name, for errors.
        limit_of: returns how many bytes a file may have that begins with these.
        keeps_position: whether a seekable stream is left where it was found.

    Raises:
        SourceUnreadable: it cannot be opened or read.
        InvalidInput: it is neither path, bytes nor binary stream.
    """
    position = _position(source) if keeps_position else None
    try:
        try:
            stream, limit = _open(source, limit_of)
        except _READ_ERRORS as error:
            raise _unreadable(source, filename, error) from error
        with stream:
            try:
                size, digest = _measure(stream, limit)
                stream.seek(0)
            except _READ_ERRORS as error:
                raise _unreadable(source, filename, error) from error
            yield OpenSource(stream, limit, size, digest)
    finally:
        if position is not None:
            with suppress(*_READ_ERRORS):
                cast(BinaryIO, source).seek(position)


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a stream in pieces of half a megabyte."""
    while piece := stream.read(PIECE):
        yield piece


def as_binary_stream(pieces: Iterator[bytes]) -> BinaryIO:
    """Return a readable stream of pieces. It takes a piece only when it is read."""
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


def _unreadable(source: object, filename: str, error: OSError | ValueError) -> SourceUnreadable:
    # The message of another error could quote what was read.
    reason = error.strerror if isinstance(error, OSError) else None
    reason = reason or type(error).__name__
    if isinstance(source, str):
        reason += "; a string is the path of a file: pass bytes for the content"
        # A single word may be a code that was meant as the content, and a code is not shown.
        return SourceUnreadable(
            filename=source if _LIKE_A_PATH.search(source) else mask(source), reason=reason
        )
    return SourceUnreadable(filename=str(source) if isinstance(source, Path) else filename, reason=reason)


def _position(source: object) -> int | None:
    """Return where a seekable stream is."""
    try:
        seekable = getattr(source, "seekable", None)
        if not callable(seekable) or not seekable():
            return None
        position = getattr(source, "tell", lambda: None)()
    except _READ_ERRORS:
        return None
    return position if isinstance(position, int) else None


def _open(source: object, limit_of: Callable[[bytes], int]) -> tuple[BinaryIO, int]:
    """Return the file as a seekable stream at its start, and how many bytes it may have."""
    if isinstance(source, Path | str):
        opened: BinaryIO = Path(source).open("rb")  # noqa: SIM115 - closed by the caller
        if not opened.seekable():
            with opened:
                return _copy(opened.read, limit_of)
    elif isinstance(source, bytes | bytearray | memoryview):
        opened = io.BytesIO(source)
    else:
        read = getattr(source, "read", None)
        if not callable(read):
            raise InvalidInput(field="source", reason="must be a path, bytes, or a binary stream")
        return _copy(read, limit_of)
    try:
        limit = limit_of(opened.read(PIECE))
        opened.seek(0)
    except BaseException:
        opened.close()
        raise
    return opened, limit


def _copy(read: Callable[[int], object], limit_of: Callable[[bytes], int]) -> tuple[BinaryIO, int]:
    spooled = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by the caller
    try:
        head, limit, copied = b"", None, 0
        while limit is None or copied <= limit:
            piece = read(PIECE)
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise InvalidInput(
                    field="source", reason="must be a binary stream: its read() returned no bytes"
                )
            spooled.write(piece)
            copied += len(piece)
            if limit is None:
                head += piece
                # A stream may give a few bytes at a time.
                limit = limit_of(head) if len(head) >= PIECE or not piece else None
            if not piece:
                break
        spooled.seek(0)
    except BaseException:
        spooled.close()
        raise
    return spooled, limit or 0


def _measure(stream: BinaryIO, limit: int) -> tuple[int, str]:
    digest = sha256()
    size = 0
    while size <= limit and (piece := stream.read(PIECE)):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()
