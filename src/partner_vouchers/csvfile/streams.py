"""Open files of any kind so that they can be read twice, and make streams of iterators of bytes."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from attrs import frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.uploads import require_filename
from partner_vouchers.errors import InvalidInput, SourceUnreadable

T = TypeVar("T")

CodeSource = Path | str | bytes | BinaryIO
"""A file of codes, as a path, the bytes themselves, or a binary stream."""

PIECE = 512 * 1024
"""How many bytes are read, and stored, at once."""

_LINE_BREAK = re.compile(r"[\r\n]")
_NO_PATH = "a string is the path of a file, and this one has"
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
        InvalidInput: no name is known, the name breaks its rule, or the source is no file.
    """
    _require_source(source)
    if filename is not None:
        return require_filename(filename)
    if isinstance(source, str):
        try:
            return require_filename(Path(source).name)
        except InvalidInput:
            # A file of one long line, passed as a string, has no name that could be to blame.
            reason = f"{_NO_PATH} no name of a file; pass bytes for the content"
            raise InvalidInput(field="source", reason=reason) from None
    if isinstance(source, Path):
        return require_filename(source.name)
    name = getattr(source, "name", None)
    if isinstance(name, str) and name:
        return require_filename(Path(name).name)
    raise InvalidInput(field="filename", reason="is needed for bytes and for streams that have no name")


def _require_source(source: object) -> None:
    """Require a path, bytes, or a binary stream.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(source, str):
        if _LINE_BREAK.search(source):
            reason = f"{_NO_PATH} a line break; pass bytes for the content"
            raise InvalidInput(field="source", reason=reason)
        if not source:
            raise InvalidInput(
                field="source", reason="must not be an empty string; pass bytes for the content"
            )
    elif isinstance(source, io.TextIOBase):
        raise InvalidInput(
            field="source", reason="must be a binary stream, not one of strings; open the file with mode 'rb'"
        )
    elif not isinstance(source, Path | bytes | bytearray | memoryview) and (
        isinstance(source, type) or not callable(getattr(source, "read", None))
    ):
        kind = type(source).__name__
        raise InvalidInput(field="source", reason=f"must be a path, bytes, or a binary stream, not {kind}")


@contextmanager
def open_source(
    source: CodeSource,
    filename: str,
    limit_of: Callable[[bytes], int],
    *,
    keeps_position: bool = False,
) -> Iterator[OpenSource]:
    """Copy a file to a temporary one and measure it, reading no more than a little over its limit.

    It is read twice, and may not be seekable, or may change meanwhile.

    Args:
        source: the file.
        filename: its name, for errors.
        limit_of: returns how many bytes a file may have that begins with these.
        keeps_position: whether a seekable stream is left where it was found.

    Raises:
        SourceUnreadable: it cannot be opened or read.
        InvalidInput: it is no binary stream.
    """
    position = _position(source) if keeps_position else None
    try:
        opened = _read(lambda: _copied(source, limit_of), source, filename)
        with opened.stream:
            yield opened
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


def _read(read: Callable[[], T], source: object, filename: str) -> T:
    """Return what `read` returns; report what the operating system or a stream raises as `SourceUnreadable`."""
    try:
        return read()
    except _READ_ERRORS as error:
        cause = error
    # The message of another error could quote what was read.
    reason = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
    if isinstance(source, str):
        reason += "; a string is the path of a file: pass bytes for the content"
        if not _LIKE_A_PATH.search(source):
            # A single word may be a code that was meant as the content. The system's error would quote it, too.
            raise SourceUnreadable(filename=mask(source), reason=reason)
        filename = source
    raise SourceUnreadable(
        filename=str(source) if isinstance(source, Path) else filename, reason=reason
    ) from cause


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


def _copied(source: object, limit_of: Callable[[bytes], int]) -> OpenSource:
    if isinstance(source, Path | str):
        with Path(source).open("rb") as opened:
            return _copy(opened.read, limit_of)
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    return _copy(cast(BinaryIO, source).read, limit_of)


def _copy(read: Callable[[int], object], limit_of: Callable[[bytes], int]) -> OpenSource:
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by the caller
    try:
        head, limit, size, digest = b"", None, 0, sha256()
        while limit is None or size <= limit:
            piece = read(PIECE)
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise InvalidInput(
                    field="source", reason="must be a binary stream: its read() returned no bytes"
                )
            copy.write(piece)
            digest.update(piece)
            size += len(piece)
            if limit is None:
                head += piece
                # A stream may give a few bytes at a time.
                limit = limit_of(head) if len(head) >= PIECE or not piece else None
            if not piece:
                break
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return OpenSource(copy, limit or 0, size, digest.hexdigest())
