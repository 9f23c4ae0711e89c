"""One exchange over a connection of HTTP/1.1, with bounded time and memory.

Sources: RFC 9110 (HTTP semantics) and RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import os
import ssl
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from socket import gaierror, socket
from weakref import WeakSet

import h11
from attrs import define, evolve, field, frozen

_BLOCK = 16 * 1024
_MAX_HEAD = 64 * 1024
# Servers commonly close a connection that was idle for 5 seconds: do not race with them.
_MAX_IDLE_SECONDS = 4.0


@frozen
class Response:
    """The head of a response arrived. The status says whether the service agreed.

    Attributes:
        status: the HTTP status, also that of a redirect or an error.
        headers: the headers, by lower-case name.
        body: the whole body, decompressed; empty when there is a `body_error`.
        body_error: why the body could not be read, or None.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False, default=b"")
    body_error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


@frozen
class NoResponse:
    """No response arrived.

    Attributes:
        reason: what went wrong, without any content of the request or the response.
        sent: whether the service may have carried out the request. If False, it is safe to repeat it.
    """

    reason: str
    sent: bool


class TooLarge(ValueError):
    """A response has more bytes than allowed."""


@define
class Budget:
    """The time and the bytes that one request has left.

    Attributes:
        ends: when the request must be done, by the monotonic clock.
        longest_wait: time limit in seconds for each wait.
        bytes_left: how many more bytes may arrive.
        sent: whether a part of the request was sent.
    """

    ends: float
    longest_wait: float
    bytes_left: int
    sent: bool = False

    def seconds(self, most: float | None = None) -> float:
        """Return how long the next wait may take."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, most or self.longest_wait)

    def spend(self, count: int) -> None:
        """Take note of bytes that arrived."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise TooLarge


class Connection:
    """One TCP connection, which carries one request at a time."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._is_sent = False
        self._idle_since = 0.0
        _connections.add(self)

    def exchange(self, message: h11.Request, body: bytes, budget: Budget) -> Response:
        """Send a request. Returns the response once its head has arrived, even if its body fails."""
        # A service may respond and close the connection before it has read the whole request.
        with suppress(ConnectionError):
            self._send(message, body, budget)
            self._is_sent = True
        while isinstance(head := self._next_event(budget), h11.InformationalResponse):
            pass
        if not isinstance(head, h11.Response):
            raise h11.RemoteProtocolError("the response has no head")
        headers = dict[str, str]()
        for name, value in ((name.decode(), value.decode("latin-1")) for name, value in head.headers):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        pieces = list[bytes]()
        try:
            while isinstance(event := self._next_event(budget), h11.Data):
                pieces.append(bytes(event.data))
        except (OSError, h11.ProtocolError, ValueError) as error:
            return Response(head.status_code, headers, body_error=failure_reason(error))
        return Response(head.status_code, headers, b"".join(pieces))

    def start_next_cycle(self, response: Response) -> bool:
        """Prepare for the next request. Returns False if anything unexpected happened."""
        length, coding = response.headers.get("content-length"), response.headers.get("transfer-encoding")
        has_no_body = response.status in (204, 304)
        # Headers that contradict each other about where the body ends: RFC 9112, section 6.3.
        if (coding and (length or has_no_body)) or (has_no_body and length not in (None, "0")):
            return False
        is_done = self._is_sent and {self._h11.our_state, self._h11.their_state} == {h11.DONE}
        # Bytes after the response: h11 would read them as the next one.
        if not is_done or self._h11.trailing_data != (b"", False):
            return False
        self._h11.start_next_cycle()
        self._is_sent = False
        self._idle_since = time.monotonic()
        return self.is_usable()

    def is_usable(self) -> bool:
        """Tell whether the connection is open, was not idle for long, and has received nothing meanwhile."""
        if time.monotonic() - self._idle_since > _MAX_IDLE_SECONDS:
            return False
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            return False
        return False

    def _send(self, message: h11.Request, body: bytes, budget: Budget) -> None:
        events = (message, h11.Data(data=body), h11.EndOfMessage())
        unsent = memoryview(b"".join(self._h11.send(event) or b"" for event in events))
        while unsent:
            self.sock.settimeout(budget.seconds())
            budget.sent = True
            unsent = unsent[self.sock.send(unsent[:_BLOCK]) :]

    def _next_event(self, budget: Budget) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self.sock.settimeout(budget.seconds())
            received = self.sock.recv(_BLOCK)
            budget.spend(len(received))
            self._h11.receive_data(received)
        return event


_connections = WeakSet[Connection]()


def _close_inherited_connections() -> None:
    for connection in list(_connections):
        connection.sock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_connections)


def decompressed(response: Response, limit: int) -> Response:
    """Return a response with its body decompressed, or with the reason why that is not possible."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if not response.body or coding == "identity":
        return response
    # `deflate` has a zlib header, which some services leave out.
    gzip = [zlib.MAX_WBITS + 16]
    known = {"gzip": gzip, "x-gzip": gzip, "deflate": [zlib.MAX_WBITS, -zlib.MAX_WBITS]}
    for window_bits in known.get(coding, []):
        unpacker = zlib.decompressobj(window_bits)
        with suppress(zlib.error):
            body = unpacker.decompress(response.body, limit + 1)
            if len(body) > limit:
                return evolve(response, body=b"", body_error=failure_reason(TooLarge()))
            if unpacker.eof and not unpacker.unused_data:
                return evolve(response, body=body)
    return evolve(response, body=b"", body_error="the body cannot be decompressed")


def failure_reason(error: Exception, *, connecting: bool = False) -> str:
    """Explain an error without the library's own words, which may quote the request or the response."""
    match error:
        case TooLarge() | h11.RemoteProtocolError(error_status_hint=431):
            return "the response is too large"
        case gaierror() | UnicodeError():
            return "the host name cannot be resolved"
        case ssl.SSLCertVerificationError():
            return f"the certificate cannot be trusted ({error.verify_message})"
        case TimeoutError() if connecting:
            return "the host did not accept the connection in time"
        case TimeoutError():
            return "no complete response arrived in time"
        case ssl.SSLError() if connecting:
            return "no TLS connection could be established"
        case _ if connecting:
            return "the connection was refused, or the host cannot be reached"
        case _:
            return "the connection broke, or the response is not valid HTTP"
