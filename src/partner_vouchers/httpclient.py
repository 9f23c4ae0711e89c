"""Requests to other services over HTTP, whatever those services do.

`HttpClient.request` raises nothing for what happens on the way: it returns an `Answer`, a `NotSent` or a
`NoAnswer`, and the caller decides which of them may be repeated. Needs the extra `http`.
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from socket import socket
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput

try:
    import urllib3
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "HTTP needs urllib3: install partner-vouchers[http]", name="urllib3"
    ) from _missing
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 16 * 1024
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@frozen
class Answer:
    """The service answered; whether it agreed is told by the status.

    Attributes:
        status: the HTTP status, also one of a redirect or an error.
        headers: the header under lower-case names.
        body: the whole body, as it came.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@frozen
class NotSent:
    """Nothing was sent, so the request can safely be repeated.

    Attributes:
        reason: what went wrong, without words of the request.
    """

    reason: str


@frozen
class NoAnswer:
    """No whole answer came, and the request may have been carried out.

    Attributes:
        reason: what went wrong, without words of the request or of the answer.
        status: the status, where the head of an answer came.
    """

    reason: str
    status: int | None = None


Outcome = Answer | NotSent | NoAnswer


class HttpClient:
    """A client that follows no redirects, retries nothing, and ends in time; threads may share it.

    Certificates are verified. Proxies named in the environment are not used.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        deadline: float = 30.0,
        max_answer_bytes: int = 1_000_000,
        connections: int = 15,
        ca_certs: str | None = None,
        allow_http: bool = False,
    ) -> None:
        """Set the bounds of all requests.

        Args:
            connect_timeout: seconds to wait for a connection, for each address of the host.
            read_timeout: seconds of silence after which an answer is given up.
            deadline: seconds for a whole request, however busily the service talks. Only the look-up of the
                host's name, which is up to the operating system, is not bounded by it.
            max_answer_bytes: the size of the largest answer, with its header.
            connections: how many connections to one host are kept for reuse.
            ca_certs: path of the certificates to trust; those of the system by default.
            allow_http: whether requests may go unencrypted to other machines than this one.
        """
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._deadline = deadline
        self._max_answer_bytes = max_answer_bytes
        self._allow_http = allow_http
        self._pools = urllib3.PoolManager(maxsize=connections, ca_certs=ca_certs, cert_reqs="CERT_REQUIRED")
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Outcome:
        """Send a request and wait for what comes of it.

        Args:
            method: such as `"GET"`.
            url: where to, as in `check_url`.
            headers: names and values of the header.
            body: what to send.

        Returns:
            An `Answer` of whatever status; `NotSent` where nothing went out; `NoAnswer` where no whole answer came.

        Raises:
            InvalidInput: the URL or a header breaks a rule.
        """
        check_url(url, allow_http=self._allow_http)
        check_headers(headers or {})
        call = _Call(
            ends=time.monotonic() + self._deadline, patience=self._read_timeout, room=self._max_answer_bytes
        )
        token = _current.set(call)
        try:
            return self._send(call, method, url, headers, body)
        # The client raises a ValueError of its own for a chunk of negative size.
        except (HTTPError, http.client.HTTPException, OSError, ValueError, _TooLarge) as error:
            reason = _reason(error)
            return NoAnswer(reason, call.status) if call.sent else NotSent(reason)
        finally:
            _current.reset(token)

    def _send(
        self, call: _Call, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> Answer:
        response = self._pools.request(
            method,
            url,
            headers=headers,
            body=body,
            redirect=False,
            retries=False,
            preload_content=False,
            # A few bytes can unpack to gigabytes. Nobody is asked to compress an answer.
            decode_content=False,
            timeout=urllib3.Timeout(
                connect=min(self._connect_timeout, self._deadline), read=self._read_timeout
            ),
        )
        call.status = response.status
        whole = False
        try:
            content = b"".join(response.stream(_BLOCK, decode_content=False))
            whole = True
        finally:
            if not whole:
                response.close()
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, content)

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        self._pools.clear()


def check_url(url: str, *, allow_http: bool = False, field: str = "url") -> None:
    """Refuse a URL that a request with secrets in it must not go to.

    Args:
        url: an absolute URL of the scheme https. The scheme http is for this machine only: `localhost`,
            `127.0.0.1` or `[::1]`.
        allow_http: whether http is allowed for other machines as well.
        field: how the caller's argument is called.

    Raises:
        InvalidInput: the URL is something else, or has a user name or a password in it.

    Example:
        >>> check_url("https://api.example.com/v1")
        >>> check_url("http://api.example.com/v1", field="api_url")
        Traceback (most recent call last):
        partner_vouchers.errors.InvalidInput: api_url: must begin with https://
    """
    try:
        parsed = urllib3.util.parse_url(require_name(field, url))
    except LocationParseError:
        raise InvalidInput(field=field, reason="is not a URL") from None
    if parsed.auth is not None:
        raise InvalidInput(field=field, reason="must hold no user name or password")
    if not parsed.host:
        raise InvalidInput(field=field, reason="must name a host, such as https://api.example.com")
    allowed = parsed.scheme == "https" or (
        parsed.scheme == "http" and (allow_http or _is_this_machine(parsed.host))
    )
    if not allowed:
        raise InvalidInput(field=field, reason="must begin with https://")


def check_headers(headers: Mapping[str, str], *, field: str = "headers") -> None:
    """Refuse names and values that cannot stand in a header.

    Raises:
        InvalidInput: one cannot. It names the header and never its value, which may be a credential.
    """
    given: Mapping[str, object] = headers
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidInput(field=field, reason=f"{name!r} cannot be the name of a header")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            reason = f"the value of {name} has characters that cannot stand in a header"
            raise InvalidInput(field=field, reason=reason)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    """Say what happened in words of our own: those of the client may quote the request."""
    match error:
        case _TooLarge():
            return "the answer is too large"
        case NameResolutionError():
            return "the host name cannot be resolved"
        case SSLError(args=(ssl.SSLCertVerificationError() as refused, *_)):
            return f"the certificate cannot be trusted ({refused.verify_message})"
        case SSLError():
            return "no encrypted connection came about"
        case NewConnectionError():
            return "the connection was refused, or the host cannot be reached"
        case ConnectTimeoutError():
            return "the host did not accept the connection in time"
        case urllib3.exceptions.TimeoutError() | ProtocolError(args=(_, TimeoutError())):
            return "no whole answer came in time"
        case _:
            return "the connection broke off, or the answer is not HTTP"


class _Quiet(logging.Filter):
    """Drops what urllib3 logs of our requests: it quotes their URLs, which may hold a voucher code."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return _current.get(None) is None


class _TooLarge(Exception):
    """More bytes came than an answer may have."""


class _Call:
    """One request on its way: what is left of its time and room, and how far it came."""

    def __init__(self, *, ends: float, patience: float, room: int) -> None:
        self.sent = False
        self.status: int | None = None
        self.room = room
        self._ends = ends
        self._patience = patience

    def seconds_to_wait(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._patience)


_current: ContextVar[_Call] = ContextVar("_current")

for _name in ("connection", "connectionpool", "poolmanager", "response"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_Quiet())


class _TimedReader(RawIOBase):
    """Reads a socket until the call's time or room is used up.

    The client's own time-outs begin anew with each packet, so a service could drip for ever.
    """

    def __init__(self, sock: socket, raw: RawIOBase, call: _Call) -> None:
        self.ended = False
        self._sock = sock
        self._raw = raw
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._call.seconds_to_wait())
        read = self._raw.readinto(buffer)
        self.ended = read == 0
        self._call.room -= read or 0
        if self._call.room < 0:
            raise _TooLarge
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _TimedReader(sock, self.fp.detach(), _current.get())
        self.fp = BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        if self._reader.ended:
            # The standard library takes a header that breaks off for a whole one.
            raise http.client.IncompleteRead(b"")


class _Timed(http.client.HTTPConnection):
    """Notes when the first byte of a request goes out, and minds the deadline while bytes go either way."""

    response_class = _TimedResponse

    def send(self, data: Any) -> None:
        call = _current.get()
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            self.sock.settimeout(call.seconds_to_wait())
            call.sent = True
            super().send(view[start : start + _BLOCK])


class _HttpConnection(_Timed, HTTPConnection):
    pass


class _HttpsConnection(_Timed, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
