"""Send requests to other services over HTTP/1.1, with bounded time and memory.

`HttpClient.request` raises no error for what happens on the network. It returns a `Response` or a `NoResponse`, and the
caller decides what to repeat. Needs the extra `http`.

Sources: RFC 9110 (HTTP semantics) and RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import os
import re
import ssl
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from socket import IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, gaierror, getaddrinfo, socket
from weakref import WeakSet, finalize

from attrs import define, evolve, field, frozen

from partner_vouchers.domain.arguments import require_count, require_instance, require_seconds
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput

try:
    import h11
    import httpx2
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "HTTP needs httpx2: install partner-vouchers[http]", name=_missing.name
    ) from _missing

_BLOCK = 16 * 1024
_MAX_HEAD = 64 * 1024
# Servers commonly close a connection that was idle for 5 seconds: do not race with them.
_MAX_IDLE_SECONDS = 4.0
_THIS_MACHINE = re.compile(r"localhost|127\.[0-9.]+|::1")


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


class HttpClient:
    """An HTTP client that threads can share. It follows no redirects and repeats nothing.

    Certificates are verified. Proxies from the environment are not used. Connections are reused, but never one on
    which anything unexpected happened, and never one of the parent process after a fork.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        deadline: float = 30.0,
        max_response_bytes: int = 1_000_000,
        connections: int = 15,
        ca_certs: str | None = None,
        allow_http: bool = False,
    ) -> None:
        """Set the limits of every request.

        Args:
            connect_timeout: time limit in seconds for a connection, for each address of the host.
            read_timeout: time limit in seconds for each wait for the service.
            deadline: total time limit per request, in seconds. It does not interrupt the DNS lookup, which the
                operating system limits.
            max_response_bytes: the largest response, headers included, compressed as well as decompressed.
            connections: how many idle connections to keep for each host.
            ca_certs: path of a PEM file with the certificates to trust; those of the system by default.
            allow_http: whether to allow unencrypted requests to other machines.

        Raises:
            InvalidInput: a limit is not a positive number, or `ca_certs` cannot be read.
        """
        self._connect_timeout = require_seconds("connect_timeout", connect_timeout)
        self._read_timeout = require_seconds("read_timeout", read_timeout)
        self._deadline = require_seconds("deadline", deadline)
        self._max_response_bytes = require_count("max_response_bytes", max_response_bytes)
        self._max_idle = require_count("connections", connections)
        self._allow_http = require_instance("allow_http", allow_http, bool)
        try:
            # An empty path would mean the certificates of the system.
            self._tls = ssl.create_default_context(cafile=None if ca_certs is None else ca_certs or ".")
        except (OSError, TypeError, ValueError):
            raise InvalidInput(
                field="ca_certs", reason="must be the path of a readable PEM file with certificates"
            ) from None
        self._idle: dict[_Origin, list[_Connection]] = {}
        finalize(self, _close_all, self._idle)

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response | NoResponse:
        """Send a request and wait for the response.

        Args:
            method: such as `"GET"`.
            url: the URL, which `check_url` must accept.
            headers: names and values of the headers.
            body: the content to send.

        Returns:
            A `Response` of any status as soon as its head arrived, otherwise a `NoResponse`.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        target = check_url(url, allow_http=self._allow_http)
        message = _message(method, target, {} if headers is None else headers, body)
        budget = _Budget(time.monotonic() + self._deadline, self._read_timeout, self._max_response_bytes)
        origin = target.scheme, target.raw_host.decode(), target.port
        connection: _Connection | None = None
        reusable = False
        try:
            connection = self._idle_connection(origin) or self._connect(origin, budget)
            response = connection.exchange(message, body or b"", budget)
            reusable = connection.start_next_cycle(response)
        except (OSError, h11.ProtocolError, ValueError) as error:
            return NoResponse(_reason(error, connecting=connection is None), budget.sent)
        finally:
            if connection is not None:
                idle = self._idle.setdefault(origin, [])
                if reusable and len(idle) < self._max_idle:
                    idle.append(connection)
                else:
                    connection.sock.close()
        return _decompressed(response, self._max_response_bytes)

    def close(self) -> None:
        """Close the idle connections. The client can still be used."""
        _close_all(self._idle)

    def _idle_connection(self, origin: _Origin) -> _Connection | None:
        idle = self._idle.get(origin, [])
        with suppress(IndexError):  # Threads share the list, so only `pop` tells whether it is empty.
            while True:
                connection = idle.pop()
                if connection.is_usable():
                    return connection
                connection.sock.close()
        return None

    def _connect(self, origin: _Origin, budget: _Budget) -> _Connection:
        scheme, host, port = origin
        failure = OSError("the host has no address")
        addresses = getaddrinfo(host, port or (443 if scheme == "https" else 80), type=SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            connection = _Connection(socket(family, kind, protocol))
            try:
                connection.sock.settimeout(budget.seconds(self._connect_timeout))
                connection.sock.connect(address)
                connection.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                if scheme == "https":
                    connection.sock.settimeout(budget.seconds(self._connect_timeout))
                    connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=host)
                return connection
            except BaseException as error:
                connection.sock.close()
                if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
                    raise
                failure = error
        raise failure


def check_url(url: str, *, allow_http: bool = False, field: str = "url") -> httpx2.URL:
    """Check that a URL is a safe target of a request that carries secrets.

    Args:
        url: an absolute `https` URL. `http` is allowed for this machine only: `localhost`, `127.0.0.1` or `[::1]`.
        allow_http: whether to allow `http` for other machines as well.
        field: the name of the caller's argument.

    Returns:
        The parts of the URL, with an international host name in its ASCII form.

    Raises:
        InvalidInput: it is anything else, or contains a user name or a password.

    Example:
        >>> check_url("https://bücher.example/v1").raw_host
        b'xn--bcher-kva.example'
        >>> check_url("http://api.example.com/v1", field="api_url")
        Traceback (most recent call last):
        partner_vouchers.errors.InvalidInput: api_url: must begin with https://
    """
    parsed: httpx2.URL | None = None
    with suppress(httpx2.InvalidURL):
        parsed = httpx2.URL(require_name(field, url))
    if parsed is None or not parsed.host or "%" in parsed.host or not _is_port(parsed.port):
        raise InvalidInput(field=field, reason="must be a URL with a host, such as https://api.example.com")
    if parsed.userinfo:
        raise InvalidInput(field=field, reason="must not contain a user name or a password")
    allowed = ("https", "http") if allow_http or _THIS_MACHINE.fullmatch(parsed.host) else ("https",)
    if parsed.scheme not in allowed:
        raise InvalidInput(field=field, reason="must begin with https://")
    return parsed


def check_headers(headers: Mapping[str, str], *, field: str = "headers") -> dict[str, tuple[bytes, bytes]]:
    """Check that headers can be sent.

    Returns:
        The headers as they are sent, by lower-case name.

    Raises:
        InvalidInput: a name or a value cannot be sent. The error contains the name and never the value, which may
            be a credential.
    """
    if not isinstance(headers, Mapping):
        raise InvalidInput(field=field, reason="must be a mapping of names to values")
    lines = dict[str, tuple[bytes, bytes]]()
    for name, value in headers.items():
        with suppress(AttributeError, TypeError, UnicodeError, h11.LocalProtocolError):
            line = name.encode("ascii"), value.strip(" \t").encode("latin-1")
            h11.Request(method="GET", target="/", headers=[line], http_version="1.0")
            lines[name.lower()] = line
            continue
        raise InvalidInput(field=field, reason=f"the header {name!r} cannot be sent")
    return lines


def _is_port(port: int | None) -> bool:
    return port is None or 0 < port < 65_536


def _message(method: str, url: httpx2.URL, headers: Mapping[str, str], body: bytes | None) -> h11.Request:
    own = {"Host": url.netloc.decode(), "User-Agent": "partner-vouchers", "Accept-Encoding": "gzip, deflate"}
    lines = {**check_headers(own), **check_headers(headers)}
    if body is not None:
        if not isinstance(body, bytes):
            raise InvalidInput(field="body", reason=f"must be bytes, not {type(body).__name__}")
        lines["content-length"] = b"Content-Length", b"%d" % len(body)
    with suppress(TypeError, UnicodeError, h11.LocalProtocolError):
        return h11.Request(method=method, target=url.raw_path, headers=list(lines.values()))
    raise InvalidInput(field="method", reason="cannot be sent with these headers")


class _TooLarge(ValueError):
    """A response has more bytes than allowed."""


@define
class _Budget:
    """The time and the bytes that one request has left."""

    ends: float
    longest_wait: float
    bytes_left: int
    sent: bool = False

    def seconds(self, most: float | None = None) -> float:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, most or self.longest_wait)

    def spend(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise _TooLarge


class _Connection:
    """One TCP connection, which carries one request at a time."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._is_sent = False
        self._idle_since = 0.0
        _connections.add(self)

    def exchange(self, message: h11.Request, body: bytes, budget: _Budget) -> Response:
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
            return Response(head.status_code, headers, body_error=_reason(error))
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

    def _send(self, message: h11.Request, body: bytes, budget: _Budget) -> None:
        events = (message, h11.Data(data=body), h11.EndOfMessage())
        unsent = memoryview(b"".join(self._h11.send(event) or b"" for event in events))
        while unsent:
            self.sock.settimeout(budget.seconds())
            budget.sent = True
            unsent = unsent[self.sock.send(unsent[:_BLOCK]) :]

    def _next_event(self, budget: _Budget) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self.sock.settimeout(budget.seconds())
            received = self.sock.recv(_BLOCK)
            budget.spend(len(received))
            self._h11.receive_data(received)
        return event


_Origin = tuple[str, str, int | None]
_connections = WeakSet[_Connection]()


def _close_all(idle: dict[_Origin, list[_Connection]]) -> None:
    for connections in list(idle.values()):
        while connections:
            connections.pop().sock.close()


def _close_inherited_connections() -> None:
    for connection in list(_connections):
        connection.sock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_connections)


def _decompressed(response: Response, limit: int) -> Response:
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
                return evolve(response, body=b"", body_error=_reason(_TooLarge()))
            if unpacker.eof and not unpacker.unused_data:
                return evolve(response, body=body)
    return evolve(response, body=b"", body_error="the body cannot be decompressed")


def _reason(error: Exception, *, connecting: bool = False) -> str:
    """Explain an error without the library's own words, which may quote the request or the response."""
    match error:
        case _TooLarge() | h11.RemoteProtocolError(error_status_hint=431):
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
