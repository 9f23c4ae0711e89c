"""The HTTP client against a real server on this machine that misbehaves in every way a server can."""

import logging
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from gzip import compress
from socket import AF_INET6, create_server, gaierror, has_ipv6, socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.errors import InvalidInput
from partner_vouchers.http import HttpClient, NoResponse, Response, check_headers, check_url
from tests.support.loopback import (
    CERTIFICATE,
    Answering,
    Loopback,
    Received,
    answer,
    free_port,
    loopback,
    raw,
    reset,
)

SECRET = "c0ffee-app-token"
HEADERS = {"X-App-Token": SECRET}
BROKEN = "the connection broke, or the response is not valid HTTP"
NOT_IN_TIME = "no complete response arrived in time"
TOO_LARGE = "the response is too large"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def client() -> Iterator[HttpClient]:
    client = HttpClient(connect_timeout=5, read_timeout=5, deadline=10, max_response_bytes=20_000)
    yield client
    client.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[HttpClient]:
    """Gives up after half a second of silence, or a second altogether."""
    client = HttpClient(read_timeout=0.5, deadline=1, ca_certs=str(CERTIFICATE))
    yield client
    client.close()


@pytest.fixture(scope="module")
def trusting() -> Iterator[HttpClient]:
    """Trusts the certificate of the server."""
    client = HttpClient(ca_certs=str(CERTIFICATE))
    yield client
    client.close()


def get(client: HttpClient, server: Loopback, path: str = "/") -> Response:
    outcome = client.request("GET", server.url + path)
    assert isinstance(outcome, Response)
    return outcome


def sending(*pieces: bytes) -> Answering:
    """Send some bytes and keep the connection open."""

    def send(connection: socket, request: Received) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return send


def then_silence(begun: bytes = b"") -> Answering:
    def begin(connection: socket, request: Received) -> None:
        connection.sendall(begun)
        # Ends when the client hangs up.
        connection.recv(1)

    return begin


def drip(begun: bytes, drop: bytes) -> Answering:
    """Never silent for long, and never done."""

    def send(connection: socket, request: Received) -> None:
        connection.sendall(begun)
        pause = threading.Event()
        while not pause.wait(0.02):
            connection.sendall(drop)

    return send


def numbered(before: bytes = b"", after: bytes = b"") -> Answering:
    """Answer each request with its own path, with extra bytes before and after."""

    def send(connection: socket, request: Received) -> None:
        body = request.path.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(before + head + body + after)

    return send


def at_once(number: int, work: Callable[[int], object]) -> None:
    """Do something in so many threads at the same time."""
    threads = [threading.Thread(target=work, args=(each,)) for each in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- requests and responses --------------------------------------------------------------------------------


def test_request_and_response_arrive_as_they_were_sent(client: HttpClient) -> None:
    with loopback(sending(OK[:17] + b"X-Id: 1\r\nx-id: 2\r\n" + OK[17:])) as server:
        headers = {"x-app-token": f" {SECRET}\t", "user-agent": "shop"}
        url = f"{server.url}/1/upload?a=b%20c"
        outcome = client.request("POST", url, headers=headers, body=b'{"d":[]}')
        client.request("GET", url, headers={"HOST": "shop.example"})
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body, outcome.body_error) == (200, b"fine", None)
    assert outcome.headers["x-id"] == "1, 2", "repeated headers are joined"
    received, second = server.requests
    assert (received.method, received.target, received.body) == ("POST", "/1/upload?a=b%20c", b'{"d":[]}')
    assert (received.headers["x-app-token"], received.headers["user-agent"]) == (SECRET, "shop")
    assert received.headers["host"] == server.url.removeprefix("http://")
    assert second.headers["host"] == "shop.example", "headers of the caller win in any case"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 402, 404, 429, 500, 503])
def test_response_of_any_status_is_neither_followed_nor_repeated(client: HttpClient, status: int) -> None:
    content = b"" if status == 204 else b"so"
    with loopback(answer(content, status, {"Location": "/elsewhere", "Retry-After": "1"})) as server:
        response = get(client, server)
    assert (response.status, response.body, response.headers["retry-after"]) == (status, content, "1")
    assert response.is_success is (status < 300)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answering",
    [
        raw(CHUNKED + b"3\r\nabc\r\n", b"2;name=value\r\nde\r\n0\r\nX-Trailer: x\r\n\r\n"),
        raw(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de"),
    ],
    ids=["chunks", "until the end"],
)
def test_body_whose_length_is_not_told_before(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        assert get(client, server).body == b"abcde"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + b"HTTP/1.1 102 Processing\r\n\r\n" * 3
        + b"HTTP/1.1 103 So\r\n\r\n",
    ],
)
def test_interim_responses_are_read_past(client: HttpClient, interim: bytes) -> None:
    with loopback(numbered(before=interim)) as server:
        assert [get(client, server, path).body for path in ("/a", "/b", "/c")] == [b"/a", b"/b", b"/c"]
    assert len(server.connections) == 1


# --- reuse of connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answering",
    [
        answer(b"x" * 10_000),
        answer(b"", 204),
        answer(b"failed", 500),
        sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
        sending(CHUNKED + b"1\r\na\r\n0\r\n\r\n"),
    ],
)
def test_connection_is_used_again(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        for _ in range(3):
            get(client, server)
    assert (len(server.requests), len(server.connections)) == (3, 1)


STALE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"


@pytest.mark.parametrize(
    "answering",
    [
        numbered(after=STALE),
        numbered(after=b"\r\n"),
        numbered(after=b"x"),
        sending(CHUNKED + b"1\r\na\r\n0\r\n\r\n" + STALE),
        sending(b"HTTP/1.1 204 No Content\r\n\r\n" + STALE),
        sending(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        sending(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfine!"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        sending(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"),
        sending(CHUNKED + b"5\r\nabcde0\r\n\r\n"),
    ],
)
def test_connection_with_anything_unexpected_is_not_used_again(
    client: HttpClient, answering: Answering
) -> None:
    with loopback(answering) as server:
        client.request("GET", f"{server.url}/first")
        server.answering = numbered()
        assert get(client, server, "/second").body == b"/second"
    assert len(server.connections) == 2


def hang_up(server: Loopback, patch: pytest.MonkeyPatch) -> None:
    server.connections[-1].shutdown(2)


def send_bytes(server: Loopback, patch: pytest.MonkeyPatch) -> None:
    server.connections[-1].sendall(STALE)


def let_time_pass(server: Loopback, patch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 4.1
    patch.setattr(time, "monotonic", lambda: later)


@pytest.mark.parametrize("happens", [hang_up, send_bytes, let_time_pass])
def test_idle_connection_that_may_not_be_whole_is_replaced(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., None]
) -> None:
    with loopback(numbered()) as server:
        assert get(client, server, "/a").body == b"/a"
        happens(server, monkeypatch)
        assert get(client, server, "/b").body == b"/b"
        assert len(server.connections) == 2


def test_no_more_idle_connections_are_kept_than_asked_for() -> None:
    together = threading.Barrier(4)

    def meet(connection: socket, request: Received) -> None:
        together.wait(10)
        connection.sendall(OK)

    client = HttpClient(connections=2)
    with loopback(meet) as server:
        for connections in (4, 6, 10):
            at_once(4, lambda _: get(client, server))
            # Two of the first four were used again; after `close`, none.
            assert len(server.connections) == connections
            if connections == 6:
                client.close()
        client.close()


def test_threads_share_a_client(client: HttpClient) -> None:
    wrong: list[str] = []

    def ask(thread: int) -> None:
        paths = [f"/{thread}/{number}" for number in range(20)]
        wrong.extend(path for path in paths if get(client, server, path).body != path.encode())

    with loopback(numbered()) as server:
        at_once(8, ask)
    assert wrong == []
    assert len(server.requests) == 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_shares_no_connection_with_its_parent() -> None:
    program = """
import os, sys
from partner_vouchers.http import HttpClient

client = HttpClient()
ask = lambda who: client.request("GET", f"{sys.argv[1]}/{who}").body
assert ask("parent") == b"/parent"
child = os.fork()
assert ask("child" if not child else "parent again") == (b"/child" if not child else b"/parent%20again")
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert ask("parent at last") == b"/parent%20at%20last"
"""
    with loopback(numbered()) as server:
        done = subprocess.run([sys.executable, "-c", program, server.url], check=False, timeout=60)
    assert done.returncode == 0
    # One of the parent, one of the child.
    assert len(server.connections) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_during_a_request_leaves_the_connection_to_the_parent() -> None:
    program = """
import os, sys, threading
from partner_vouchers.http import HttpClient

client, found = HttpClient(), []
thread = threading.Thread(target=lambda: found.append(client.request("GET", sys.argv[1])))
thread.start()
sys.stdin.readline()  # The server has the request.
child = os.fork()
if not child:
    # The parent's connection ends for the server as soon as the parent closes it.
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
thread.join()
client.close()
print(found[0].body.decode(), flush=True)
os.waitpid(child, 0)
"""
    arrived, go, ended = threading.Event(), threading.Event(), threading.Event()

    def hold(connection: socket, request: Received) -> None:
        arrived.set()
        go.wait(30)
        connection.sendall(OK)
        assert connection.recv(1) == b""
        ended.set()

    with (
        loopback(hold) as server,
        subprocess.Popen(
            [sys.executable, "-c", program, server.url], stdin=-1, stdout=-1, text=True
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        assert arrived.wait(30)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
        go.set()
        assert process.stdout.readline() == "fine\n"
        # The child is still alive, and has no copy of the socket.
        assert ended.wait(30)
        process.stdin.close()


def test_client_that_is_forgotten_closes_its_connections() -> None:
    ended = threading.Event()

    def wait_for_the_end(connection: socket, request: Received) -> None:
        connection.sendall(OK)
        assert connection.recv(1) == b""
        ended.set()

    with loopback(wait_for_the_end) as server:
        get(HttpClient(), server)
        assert ended.wait(30)


# --- nothing was sent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid", "nirgendwö.invalid"])
def test_unknown_host_sent_nothing(client: HttpClient, host: str) -> None:
    unknown = NoResponse("the host name cannot be resolved", sent=False)
    assert client.request("GET", f"https://{host}/") == unknown


def test_every_address_of_a_host_is_tried(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = free_port()
    refused = NoResponse("the connection was refused, or the host cannot be reached", sent=False)
    assert client.request("GET", f"http://127.0.0.1:{nowhere}") == refused
    with loopback(answer(b"fine")) as server:
        ports = nowhere, int(server.url.rpartition(":")[2])
        addresses = [(2, 1, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr("partner_vouchers.http.getaddrinfo", lambda *_, **__: addresses)
        assert get(client, server).body == b"fine"


# --- responses that break off, hang, or never end --------------------------------------------------------------


@pytest.mark.parametrize(
    "answering",
    [
        reset,
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\nContent-Len"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"),
        raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        raw(b"what is it?\r\n\r\n"),
        raw(b"HTTP/1.1 20 OK\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        # The protocol is never switched.
        sending(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + OK),
    ],
)
def test_response_without_a_whole_head(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        assert client.request("POST", server.url, body=b"{}") == NoResponse(BROKEN, sent=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 429, 500])
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\nhalf",
        *(
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks.replace(b" ", b"\r\n")
            for chunks in (b"5 ab", b"2 ab ", b"zz ab", b"-5 ab", b"2 abXX0  ", b"0 broken_trailer  ")
        ),
    ],
)
def test_head_counts_whatever_happens_to_the_body(client: HttpClient, status: int, rest: bytes) -> None:
    with loopback(raw(b"HTTP/1.1 %d So\r\nRetry-After: 7\r\n" % status + rest)) as server:
        response = get(client, server)
    assert (response.status, response.body, response.body_error) == (status, b"", BROKEN)
    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "answering",
    [
        then_silence(),
        then_silence(b"HTTP/1.1 200 OK\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["silence", "half a head", "a head without end", "interim responses"],
)
def test_deadline_holds_in_every_thread_however_busy_the_server_is(
    hasty: HttpClient, answering: Answering
) -> None:
    found: list[Response | NoResponse] = []
    begun = time.monotonic()
    with loopback(answering) as server:
        at_once(3, lambda _: found.append(hasty.request("GET", server.url)))
    assert found == [NoResponse(NOT_IN_TIME, sent=True)] * 3
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "answering,tls",
    [
        (then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), False),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"), True),
        (drip(CHUNKED, b"1\r\nx\r\n"), False),
        (drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), False),
    ],
    ids=["silence", "encrypted", "chunks", "without end"],
)
def test_slow_body_is_given_up(hasty: HttpClient, answering: Answering, tls: bool) -> None:
    with loopback(answering, tls=tls) as server:
        response = get(hasty, server)
    assert (response.status, response.body_error) == (200, NOT_IN_TIME)


@pytest.mark.parametrize(
    "scheme,outcome",
    [
        ("http", NoResponse(NOT_IN_TIME, sent=True)),
        ("https", NoResponse("the host did not accept the connection in time", sent=False)),
    ],
)
def test_server_that_does_not_read_is_given_up(hasty: HttpClient, scheme: str, outcome: NoResponse) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        # A request that fits into no buffer on the way.
        assert hasty.request("POST", url, body=b"x" * 20_000_000) == outcome


def test_response_before_the_whole_request_was_read_counts(client: HttpClient) -> None:
    with create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            # With bytes unread, this breaks the connection off.
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        outcome = client.request("POST", url, body=b"x" * 5_000_000)
        thread.join(10)
    assert isinstance(outcome, Response)
    assert outcome.status == 413


@pytest.mark.parametrize(
    "answering",
    [
        answer(b"x" * 20_000),
        drip(CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
        # Many tiny chunks, and a chunk's size without end.
        drip(CHUNKED, b"1\r\nx\r\n" * 5_000),
        drip(CHUNKED, b"1" * 10_000),
        answer(compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"}),
    ],
)
def test_huge_body_is_given_up(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        response = get(client, server)
    assert (response.status, response.body) == (200, b"")
    assert response.body_error in (TOO_LARGE, BROKEN)


@pytest.mark.parametrize(
    "limit,begun,drop",
    [
        (20_000, b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 900),
        (100_000_000, b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 900),
        (20_000, b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 500),
    ],
)
def test_huge_head_is_given_up(limit: int, begun: bytes, drop: bytes) -> None:
    with loopback(drip(begun, drop)) as server:
        outcome = HttpClient(max_response_bytes=limit).request("GET", server.url)
    assert outcome == NoResponse(TOO_LARGE, sent=True)


PIECES = [
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"103", b"101", b"204", b"999", b"000", b" OK", b"\r\n", b"\n", b"\r",
    b"\r\n\r\n", b"Content-Length: ", b"5", b"-1", b"9" * 30, b"Transfer-Encoding: chunked", b": ", b"\x00",
    b"Connection: close", b"Upgrade: h2c", b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"\xff", b" fold",
    b"5\r\nabcde\r\n", b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n", b"f" * 20 + b"\r\n", b'1;e="\r\n"\r\na\r\n',
]  # fmt: skip


@pytest.mark.deep
@given(
    begun=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
    pieces=st.lists(st.sampled_from(PIECES), max_size=12),
)
def test_whatever_a_server_sends_the_next_request_gets_its_own_response(
    begun: bytes, pieces: list[bytes]
) -> None:
    client = HttpClient(read_timeout=5, deadline=5)
    with loopback(raw(begun + b"".join(pieces))) as server:
        assert isinstance(client.request("GET", server.url), Response | NoResponse)
        server.answering = numbered()
        assert get(client, server, "/mine").body == b"/mine"
    client.close()


# --- compression -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "coding,pack",
    [
        ("gzip", compress),
        ("GZIP", compress),
        ("x-gzip", compress),
        ("deflate", zlib.compress),
        ("deflate", lambda content: zlib.compress(content)[2:-4]),
        ("identity", bytes),
    ],
)
def test_compressed_body_is_understood(
    client: HttpClient, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    content = b'{"code": "PM500AA"}' * 50
    with loopback(answer(pack(content), headers={"Content-Encoding": coding})) as server:
        for _ in range(2):
            response = get(client, server)
            assert (response.body, response.body_error) == (content, None)
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "coding,body",
    [
        ("gzip", b"\x1f\x8b..."),
        ("gzip", compress(b"whole")[:-3]),
        ("gzip", compress(b"whole") + b"more"),
        ("deflate", b"not packed"),
        ("br", b"what is it?"),
        ("gzip, gzip", compress(compress(b"twice"))),
    ],
    ids=["no gzip", "cut", "with more", "no deflate", "unknown", "packed twice"],
)
def test_damaged_or_unknown_compression_leaves_the_status(
    client: HttpClient, coding: str, body: bytes
) -> None:
    with loopback(answer(body, 201, {"Content-Encoding": coding})) as server:
        response = get(client, server)
    assert (response.status, response.body) == (201, b"")
    assert response.body_error == "the body cannot be decompressed"


# --- TLS -------------------------------------------------------------------------------------------------------


def test_certificate_must_be_trusted_and_that_of_the_host(client: HttpClient, trusting: HttpClient) -> None:
    with loopback(numbered(), tls=True) as server:
        refused = client.request("GET", server.url, headers=HEADERS)
        other_host = trusting.request("GET", server.url.replace("localhost", "127.0.0.2"))
        assert server.requests == []
        before = len(server.connections)
        assert [get(trusting, server, path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
        # The session's tickets do not look like unexpected bytes.
        assert len(server.connections) == before + 1
    assert isinstance(refused, NoResponse)
    assert isinstance(other_host, NoResponse)
    assert (refused.sent, other_host.sent) == (False, False)
    assert refused.reason.startswith("the certificate cannot be trusted (self")


def test_server_without_tls_is_not_asked(client: HttpClient) -> None:
    with loopback(sending(OK)) as server:
        outcome = client.request("GET", server.url.replace("http:", "https:"), headers=HEADERS)
    assert outcome == NoResponse("no TLS connection could be established", sent=False)
    assert server.requests == []


# --- URLs ------------------------------------------------------------------------------------------------------

NO_HOST, NO_HTTPS = "must be a URL with a host", "must begin with https://"


@pytest.mark.parametrize(
    "url,reason",
    [
        ("http://api.example.com/v1", NO_HTTPS),
        ("http://bücher.example/v1", NO_HTTPS),
        ("ftp://localhost/v1", NO_HTTPS),
        ("http://localhost.example.com", NO_HTTPS),
        ("http://127.0.0.1.example.com", NO_HTTPS),
        ("file:///etc/passwd", NO_HOST),
        ("api.example.com", NO_HOST),
        ("https://", NO_HOST),
        ("https:///v1", NO_HOST),
        ("https://api.example.com:0", NO_HOST),
        ("https://api.example.com:65536", NO_HOST),
        ("https://api.example.com:x", NO_HOST),
        ("https://api example.com", NO_HOST),
        ("https://[::1", NO_HOST),
        ("https://[fe80::1%25eth0]/", NO_HOST),
        ("https://\u2028.example", NO_HOST),
        ("", "must not be empty"),
        (None, "must be a string, not NoneType"),
        (b"https://api.example.com", "must be a string, not bytes"),
        ("https://api.example.com/\r\nX: y", "control characters"),
        ("https://user:secret@api.example.com", "must not contain a user name or a password"),
        ("https://secret@bücher.example", "must not contain a user name or a password"),
    ],
)
def test_url_that_must_not_be_asked(client: HttpClient, url: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        client.request("GET", url)
    assert caught.value.field == "url"
    assert "secret" not in str(caught.value)
    # The library's own error quotes the URL.
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url,host",
    [
        ("https://api.example.com", b"api.example.com"),
        ("HTTPS://API.EXAMPLE.COM/", b"api.example.com"),
        ("https://bücher.example/ä?q=ü", b"xn--bcher-kva.example"),
        ("https://BÜCHER.example:8443", b"xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("https://例え.テスト/", b"xn--r8jz45g.xn--zckzah"),
        ("https://my_service.internal", b"my_service.internal"),
        ("https://[2001:db8::1]:8443/x", b"2001:db8::1"),
        ("http://localhost:8080", b"localhost"),
        ("http://127.1.2.3", b"127.1.2.3"),
        ("http://[::1]:80/x", b"::1"),
    ],
)
def test_url_that_may_be_asked(url: str, host: bytes) -> None:
    assert check_url(url).raw_host == host
    check_url("http://vouchers.internal:8080", allow_http=True)


def test_host_is_looked_up_under_its_ascii_name(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def look_up(host: object, port: object, **_: object) -> object:
        asked.append((host, port))
        raise gaierror

    monkeypatch.setattr("partner_vouchers.http.getaddrinfo", look_up)
    for url in ("https://bücher.example", "https://bücher.example:8443", "https://[2001:db8::1]"):
        client.request("GET", url)
    assert asked == [("xn--bcher-kva.example", 443), ("xn--bcher-kva.example", 8443), ("2001:db8::1", 443)]


@pytest.mark.skipif(not has_ipv6, reason="needs IPv6")
def test_ipv6_address(client: HttpClient) -> None:
    try:
        listener = create_server(("::1", 0), family=AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 address")
    host, received = f"[::1]:{listener.getsockname()[1]}", list[bytes]()
    with listener:

        def serve() -> None:
            connection, _ = listener.accept()
            received.append(connection.recv(10_000))
            connection.sendall(OK)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = client.request("GET", f"http://{host}/")
        thread.join(10)
    assert isinstance(outcome, Response)
    assert (outcome.body, f"Host: {host}\r\n".encode() in received[0]) == (b"fine", True)


# --- arguments and secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-App-Token": f"{SECRET}{end}"} for end in ("\r\nHost: x", "\u20b9", "\x00")),
        *({name: "y"} for name in ("X\n", "", "ü", 5)),
        *({"X": value} for value in (None, SECRET.encode())),
        5,
        [("X", "y")],
    ],
    ids=repr,
)
def test_header_that_cannot_be_sent(client: HttpClient, headers: Any) -> None:
    for check in (check_headers, lambda wrong: client.request("GET", "http://localhost:1", headers=wrong)):
        with pytest.raises(InvalidInput, match=r"^headers: ") as caught:
            check(headers)
        assert SECRET not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "field,value",
    [("method", "GET /"), ("method", 5), ("body", "text"), ("headers", {"Transfer-Encoding": "gzip"})],
)
def test_request_that_cannot_be_sent(client: HttpClient, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.request(**{"method": "GET", "url": "http://localhost:1", field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "field,values",
    [
        ("connect_timeout", [0]),
        ("read_timeout", [float("nan")]),
        ("deadline", [float("inf"), "30"]),
        ("max_response_bytes", [0]),
        ("connections", [True]),
        ("ca_certs", ["/no/such/file.pem", 5.5, __file__]),
    ],
)
def test_limit_that_makes_no_sense(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidInput) as caught:
            HttpClient(**{field: value})
        assert caught.value.field == field


def test_nothing_of_a_request_or_a_response_is_shown(
    client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    shown = repr(Response(status=200, headers={"set-cookie": SECRET}, body=SECRET.encode()))
    assert shown == "Response(status=200, body_error=None)"
    malformed = raw(b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n")
    with caplog.at_level(logging.DEBUG), loopback(malformed) as server:
        client.request("GET", f"{server.url}/?voucher={SECRET}", headers=HEADERS)
        server.answering = answer()
        client.request("GET", f"{server.url}/?voucher={SECRET}", headers=HEADERS)
    assert caplog.text == ""
