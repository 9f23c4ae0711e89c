"""The bytes of a file as chunks of clean UTF-8: the layer below lines and rows.

Whatever the encoding and the line ends of the file, the layers above see valid UTF-8 without a BOM, in which
every line ends in a line feed. No other character ends a line: `str.splitlines` would split at U+2028 too.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from partner_vouchers.errors import InvalidInput

CHUNK_BYTES = 256 * 1024
HEAD_BYTES = 64
"""Number of bytes that are read to recognise the encoding."""

_BOM = codecs.BOM_UTF8
# The longer ones first: the BOM of UTF-32-LE begins with that of UTF-16-LE.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class BadEncoding(Exception):
    """The bytes that follow are not in the encoding of the file. Its message is for people."""


def require_encoding(encoding: object) -> str:
    """Return the name of an encoding as Python knows it.

    Raises:
        InvalidInput: there is no such encoding, or it does not decode bytes to characters.

    Example:
        >>> require_encoding("UTF8"), require_encoding("latin-1")
        ('utf-8', 'iso8859-1')
    """
    if not isinstance(encoding, str):
        raise InvalidInput(field="encoding", reason="must be the name of an encoding, for example 'utf-16'")
    try:
        # Unlike codecs.lookup, this refuses codecs like base64 and rot13.
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        codecs.getincrementaldecoder(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, ValueError):
        reason = f"{encoding!r} is no known encoding; use for example 'utf-8', 'utf-16' or 'cp1252'"
        raise InvalidInput(field="encoding", reason=reason) from None


def encoding_of_bom(head: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start of a file names, or None without one.

    Example:
        >>> encoding_of_bom("PM500".encode("utf-16")), encoding_of_bom(b"PM500")
        ('utf-16', None)
    """
    return next((name for bom, name in _BOMS if head.startswith(bom)), None)


def likely_encoding(head: bytes) -> str | None:
    """Return the encoding that the start of a file without byte order mark seems to have, where it is not UTF-8.

    In UTF-16 and UTF-32 each ASCII character has a NUL byte beside it.

    Example:
        >>> likely_encoding("PM500".encode("utf-16-le")), likely_encoding(b"PM500")
        ('utf-16-le', None)
    """
    nuls, even_nuls = head.count(0), head[::2].count(0)
    if nuls * 4 < len(head) or nuls == len(head):
        return None
    if nuls * 2 > len(head):
        return "utf-32-be" if head[0] == 0 else "utf-32-le"
    if even_nuls in (0, nuls):
        return "utf-16-be" if even_nuls else "utf-16-le"
    return None


class Chunks:
    """The chunks of a file; they can be iterated once.

    They hold whole characters, but end anywhere within a line. A byte order mark decides about the encoding,
    whatever the caller named. The text before a bad byte is yielded before `BadEncoding` is raised.

    Attributes:
        bytes_read: bytes of the source read so far.
    """

    def __init__(self, source: BinaryIO, encoding: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.bytes_read: int = 0
        self._source = source
        self._encoding = require_encoding(encoding)
        self._chunk_bytes = chunk_bytes

    def __iter__(self) -> Iterator[bytes]:
        after_cr = False
        for chunk in _without_bom(self._characters()):
            text = chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk
            after_cr = chunk.endswith(b"\r")
            if b"\r" in text:
                text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            yield text

    def _characters(self) -> Iterator[bytes]:
        size = self._chunk_bytes
        head = self._read(max(size, HEAD_BYTES))
        encoding = encoding_of_bom(head) or self._encoding
        is_utf8 = encoding in ("utf-8", "utf-8-sig")
        likely = likely_encoding(head[:HEAD_BYTES]) if is_utf8 else None
        if likely is not None:
            raise BadEncoding(
                f"the file is not UTF-8 but looks like {likely[:6].upper()}; save it as 'CSV UTF-8', or upload it "
                f"with the encoding {likely}"
            )
        decoder = codecs.getincrementaldecoder("utf-8" if is_utf8 else encoding)()
        for data in self._parts(head):
            if is_utf8 and data.isascii() and not decoder.getstate()[0]:
                yield data
            else:
                yield from _recoded(decoder, data, encoding)
        yield from _recoded(decoder, b"", encoding, final=True)

    def _parts(self, head: bytes) -> Iterator[bytes]:
        size = self._chunk_bytes
        for start in range(0, len(head), size):
            yield head[start : start + size]
        while data := self._read(size):
            yield data

    def _read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end: a raw stream may give less than it is asked for."""
        parts = []
        missing = size
        while missing > 0:
            part = self._source.read(missing)
            if not isinstance(part, bytes | bytearray | memoryview):
                raise InvalidInput(
                    field="source", reason="must be a binary stream: its read() returned no bytes"
                )
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        self.bytes_read += size - missing
        return b"".join(parts)


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    # Chunks hold whole characters, so the BOM is not cut in two; a decoder may have nothing to give at first.
    for chunk in chunks:
        if chunk:
            yield chunk.removeprefix(_BOM)
            break
    for chunk in chunks:
        if chunk:
            yield chunk


def _recoded(
    decoder: codecs.IncrementalDecoder, data: bytes, encoding: str, *, final: bool = False
) -> Iterator[bytes]:
    text, wrong = _decoded(decoder, data, final)
    try:
        yield text.encode()
    except UnicodeEncodeError as error:  # some codecs, like UTF-7, let lone surrogates through
        yield text[: error.start].encode()
        wrong = error
    if wrong is not None:
        raise BadEncoding(_explanation(wrong, encoding)) from None


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, final: bool) -> tuple[str, UnicodeError | None]:
    """Return the text of `data` up to the first error, and that error."""
    try:
        return decoder.decode(data, final), None
    except UnicodeDecodeError as error:
        # The decoder held back the start of a character, and still does: a failed call leaves no trace in it.
        held = len(error.object) - len(data)
        try:
            return decoder.decode(data[: max(0, error.start - held)]), error
        except UnicodeError:
            return "", error
    except UnicodeError as error:
        return "", error


def _explanation(error: UnicodeError, encoding: str) -> str:
    what = f"byte 0x{error.object[error.start]:02X} " if isinstance(error, UnicodeDecodeError) else ""
    if encoding in ("utf-8", "utf-8-sig"):
        return (
            f"{what}is not valid in UTF-8; save the file as 'CSV UTF-8', or upload it with the encoding that it "
            "has, for example cp1252"
        )
    return (
        f"{what or 'a character '}is not valid in {encoding}; upload the file with the encoding that it has"
    )
