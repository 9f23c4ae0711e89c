"""Send requests to other services over HTTP/1.1, with bounded time and memory.

`HttpClient.request` raises no error for what happens on the network. It returns a `Response` or a `NoResponse`, and the
caller decides what to repeat. Needs the extra `http`.

Sources: RFC 9110 (HTTP semantics) and RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from socket import IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, getaddrinfo, socket
from weakref import finalize

from partner_vouchers.domain.arguments import (
    require_count,
    require_instance,
    require_mapping,
    require_seconds,
)
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput

try:
    import h11
    import httpx2
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "HTTP needs httpx2: install partner-vouchers[http]", name=_missing.name
    ) from _missing

from partner_vouchers.http1 import Budget, Connection, NoResponse, Response, decompressed, failure_reason

__all__ = ["HttpClient", "NoResponse", "Response", "check_headers", "check_url"]

_Origin = tuple[str, str, int | None]
_THIS_MACHINE = re.compile(r"localhost|127\.[0-9.]+|::1")


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
        self._idle: dict[_Origin, list[Connection]] = {}
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
        budget = Budget(time.monotonic() + self._deadline, self._read_timeout, self._max_response_bytes)
        origin = target.scheme, target.raw_host.decode(), target.port
        connection: Connection | None = None
        reusable = False
        try:
            connection = self._idle_connection(origin) or self._connect(origin, budget)
            response = connection.exchange(message, body or b"", budget)
            reusable = connection.start_next_cycle(response)
        except (OSError, h11.ProtocolError, ValueError) as error:
            return NoResponse(failure_reason(error, connecting=connection is None), budget.sent)
        finally:
            if connection is not None:
                idle = self._idle.setdefault(origin, [])
                if reusable and len(idle) < self._max_idle:
                    idle.append(connection)
                else:
                    connection.sock.close()
        return decompressed(response, self._max_response_bytes)

    def close(self) -> None:
        """Close the idle connections. The client can still be used."""
        _close_all(self._idle)

    def _idle_connection(self, origin: _Origin) -> Connection | None:
        idle = self._idle.get(origin, [])
        with suppress(IndexError):  # Threads share the list, so only `pop` tells whether it is empty.
            while True:
                connection = idle.pop()
                if connection.is_usable():
                    return connection
                connection.sock.close()
        return None

    def _connect(self, origin: _Origin, budget: Budget) -> Connection:
        scheme, host, port = origin
        failure = OSError("the host has no address")
        addresses = getaddrinfo(host, port or (443 if scheme == "https" else 80), type=SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            connection = Connection(socket(family, kind, protocol))
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
        partner_vouchers.errors.InvalidInput: api_url: must begin with https://; http:// is for this machine only
    """
    parsed: httpx2.URL | None = None
    with suppress(httpx2.InvalidURL):
        parsed = httpx2.URL(require_name(field, url))
    if (
        parsed is None
        or not parsed.host
        or "%" in parsed.host
        or not 0 < (443 if parsed.port is None else parsed.port) < 65_536
    ):
        raise InvalidInput(field=field, reason="must be a URL with a host, such as https://api.example.com")
    if parsed.userinfo:
        raise InvalidInput(field=field, reason="must not contain a user name or a password")
    allowed = ("https", "http") if allow_http or _THIS_MACHINE.fullmatch(parsed.host) else ("https",)
    if parsed.scheme not in allowed:
        raise InvalidInput(field=field, reason="must begin with https://; http:// is for this machine only")
    return parsed


def check_headers(headers: Mapping[str, str], *, field: str = "headers") -> dict[str, tuple[bytes, bytes]]:
    """Check that headers can be sent.

    Returns:
        The headers as they are sent, by lower-case name.

    Raises:
        InvalidInput: a name or a value cannot be sent. The error contains the name and never the value, which may
            be a credential.
    """
    lines = dict[str, tuple[bytes, bytes]]()
    for name, value in require_mapping(field, headers).items():
        with suppress(AttributeError, TypeError, UnicodeError, h11.LocalProtocolError):
            line = name.encode("ascii"), value.strip(" \t").encode("latin-1")
            h11.Request(method="GET", target="/", headers=[line], http_version="1.0")
            lines[name.lower()] = line
            continue
        raise InvalidInput(field=field, reason=f"the header {name!r} cannot be sent")
    return lines


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


def _close_all(idle: dict[_Origin, list[Connection]]) -> None:
    for connections in list(idle.values()):
        while connections:
            connections.pop().sock.close()
