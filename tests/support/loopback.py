"""A server on this machine which misbehaves as the test tells it to.

`loopback.pem` is the certificate and key of `localhost`, trusted by nobody but these tests.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from http import HTTPStatus
from pathlib import Path
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET, create_server, socket
from struct import pack
from threading import Thread
from urllib.parse import parse_qs, urlsplit

CERTIFICATE = Path(__file__).with_suffix(".pem")


@dataclass
class Received:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


Answering = Callable[[socket, Received], None]


@dataclass
class Loopback:
    """What a test sees of the server."""

    url: str
    answering: Answering
    requests: list[Received] = field(default_factory=list)
    connections: list[socket] = field(default_factory=list)


def answer(
    body: object = b"", status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[socket, Received], None]:
    """Answer as one should: bytes as they are, anything else as JSON."""

    def send(connection: socket, request: Received) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    return send


def raw(*pieces: bytes) -> Answering:
    """Send some bytes and hang up."""

    def send(connection: socket, request: Received) -> None:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(SHUT_RDWR)

    return send


def reset(connection: socket, request: Received) -> None:
    """Break the connection off without a word."""
    connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    # Not `close`, which waits for whoever still reads.
    os.close(connection.detach())


@contextmanager
def loopback(answering: Answering, *, tls: bool = False) -> Iterator[Loopback]:
    """Serve on a free port until the test is done."""
    with closing(create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        server = Loopback(url, answering)
        threads: list[Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                thread = Thread(target=_serve, args=(server, connection, tls), daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(SHUT_RDWR)
            listener.close()
            acceptor.join(10)
            for connection in server.connections:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)
            for thread in threads:
                thread.join(10)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with closing(create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _serve(server: Loopback, connection: socket, tls: bool) -> None:
    # What is no request ends the connection.
    with suppress(OSError, ValueError):
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        server.connections.append(connection)
        with closing(connection), closing(connection.makefile("rb")) as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split()
                header = b"".join(iter(stream.readline, b"\r\n"))
                headers = {k.lower(): v for k, v in BytesHeaderParser().parsebytes(header).items()}
                body = stream.read(int(headers.get("content-length", "0")))
                received = Received(method, target, headers, body)
                server.requests.append(received)
                server.answering(connection, received)
