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
from typing import Any, cast

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


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(connect_timeout=5, read_timeout=5, deadline=10, max_response_bytes=20_000)
    yield client
    client.close()


@pytest.fixture
def hasty() -> Iterator[HttpClient]:
    """Gives up after half a second of silence, or a second altogether."""
    client = HttpClient(connect_timeout=1, read_timeout=0.5, deadline=1)
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


def silence(connection: socket, request: Received) -> None:
    # Ends when the client hangs up.
    connection.recv(1)


def then_silence(begun: bytes) -> Answering:
    def begin(connection: socket, request: Received) -> None:
        connection.sendall(begun)
        connection.recv(1)

    return begin


def drip(begun: bytes, drop: bytes) -> Answering:
    """Never silent for long, and never done."""

    def send(connection: socket, request: Received) -> None:
        connection.sendall(begun)
        pause = threading.Event()
        while not pause.wait(0.05):
            connection.sendall(drop)

    return send


def numbered(extra: Callable[[int], tuple[bytes, bytes]] = lambda number: (b"", b"")) -> Answering:
    """Answer each request with its own path, with extra bytes before and after."""
    count = iter(range(1_000_000))

    def send(connection: socket, request: Received) -> None:
        before, after = extra(next(count))
        body = request.path.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(before + head + body + after)

    return send


# --- requests and responses --------------------------------------------------------------------------------


def test_request_and_response_arrive_as_they_were_sent(client: HttpClient) -> None:
    with loopback(answer({"ok": True}, headers={"X-Request-Id": "r1"})) as server:
        outcome = client.request("POST", f"{server.url}/1/upload?a=b%20c", headers=HEADERS, body=b'{"d":[]}')

    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body, outcome.body_error) == (200, b'{"ok": true}', None)
    assert outcome.headers["x-request-id"] == "r1"
    (received,) = server.requests
    assert (received.method, received.target, received.body) == ("POST", "/1/upload?a=b%20c", b'{"d":[]}')
    assert received.headers["x-app-token"] == SECRET
    assert received.headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 402, 404, 429, 500, 503])
def test_response_of_any_status_is_neither_followed_nor_repeated(client: HttpClient, status: int) -> None:
    content = b"" if status == 204 else b"so"
    with loopback(answer(content, status, {"Location": "/elsewhere", "Retry-After": "1"})) as server:
        response = get(client, server)

    assert (response.status, response.body, response.headers["retry-after"]) == (status, content, "1")
    assert response.is_success is (status < 300)
    assert len(server.requests) == 1


def test_headers_of_the_caller_win_in_any_case(client: HttpClient) -> None:
    with loopback(answer()) as server:
        headers = {"user-agent": "shop", "HOST": "shop.example", "x-app-token": f" {SECRET}\t"}
        client.request("GET", server.url, headers=headers)

    received = server.requests[0].headers
    assert (received["user-agent"], received["host"], received["x-app-token"]) == (
        "shop",
        "shop.example",
        SECRET,
    )


def test_body_in_chunks_and_until_the_end_of_the_connection(client: HttpClient) -> None:
    chunks = raw(CHUNKED + b"3\r\nabc\r\n", b"2;name=value\r\nde\r\n0\r\nX-Trailer: x\r\n\r\n")
    until_the_end = raw(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de")
    for answering in (chunks, until_the_end):
        with loopback(answering) as server:
            assert get(client, server).body == b"abcde"


def test_repeated_headers_are_joined(client: HttpClient) -> None:
    with loopback(sending(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")) as server:
        assert get(client, server).headers["x-a"] == "1, 2"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + b"HTTP/1.1 102 Processing\r\n\r\n" * 3
        + b"HTTP/1.1 103 So\r\n\r\n",
    ],
)
def test_interim_responses_are_read_past(client: HttpClient, interim: bytes) -> None:
    with loopback(numbered(lambda number: (interim, b""))) as server:
        found = [get(client, server, f"/{user}").body for user in ("a", "b", "c")]

    assert found == [b"/a", b"/b", b"/c"]
    assert len(server.connections) == 1


def test_endless_interim_responses_are_given_up(client: HttpClient) -> None:
    with loopback(drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 500)) as server:
        assert client.request("GET", server.url) == NoResponse(TOO_LARGE, sent=True)


def test_protocol_is_never_switched(client: HttpClient) -> None:
    with loopback(sending(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + OK)) as server:
        assert client.request("GET", server.url) == NoResponse(BROKEN, sent=True)


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
        numbered(lambda number: (b"", STALE)),
        numbered(lambda number: (b"", b"\r\n")),
        numbered(lambda number: (b"", b"x")),
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
    hasty: HttpClient, answering: Answering
) -> None:
    with loopback(answering) as server:
        hasty.request("GET", f"{server.url}/first")
        server.answering = numbered()
        assert get(hasty, server, "/second").body == b"/second"

    assert len(server.connections) == 2


def test_bytes_that_arrive_on_an_idle_connection_are_nobodys_response(client: HttpClient) -> None:
    with loopback(numbered()) as server:
        assert get(client, server, "/a").body == b"/a"
        server.connections[0].sendall(STALE)
        assert get(client, server, "/b").body == b"/b"

    assert len(server.connections) == 2


def test_connection_that_the_server_closed_is_replaced(client: HttpClient) -> None:
    with loopback(numbered()) as server:
        for path in ("/a", "/b", "/c"):
            assert get(client, server, path).body == path.encode()
            server.connections[-1].shutdown(2)

    assert len(server.connections) == 3


def test_connection_that_was_idle_for_long_is_replaced(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback(numbered()) as server:
        get(client, server, "/a")
        later = time.monotonic() + 4.1
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert get(client, server, "/b").body == b"/b"

    assert len(server.connections) == 2


def test_no_more_idle_connections_are_kept_than_asked_for() -> None:
    together = threading.Barrier(4)

    def meet(connection: socket, request: Received) -> None:
        together.wait(10)
        connection.sendall(OK)

    def four_at_once() -> None:
        threads = [threading.Thread(target=get, args=(client, server)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    client = HttpClient(connections=2)
    with loopback(meet) as server:
        four_at_once()
        four_at_once()
        # Two of the first four were used again.
        assert len(server.connections) == 6
        client.close()
        # The client goes on after `close`.
        four_at_once()
        assert len(server.connections) == 10
        client.close()


def test_threads_share_a_client(client: HttpClient) -> None:
    wrong: list[str] = []

    def ask(server: Loopback, thread: int) -> None:
        for number in range(20):
            path = f"/{thread}/{number}"
            if get(client, server, path).body != path.encode():
                wrong.append(path)

    with loopback(numbered()) as server:
        threads = [threading.Thread(target=ask, args=(server, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []
    assert len(server.requests) == 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_shares_no_connection_with_its_parent(client: HttpClient) -> None:
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
    with loopback(silence) as server:
        arrived, go, ended = threading.Event(), threading.Event(), threading.Event()

        def hold(connection: socket, request: Received) -> None:
            arrived.set()
            go.wait(30)
            connection.sendall(OK)
            assert connection.recv(1) == b""
            ended.set()

        server.answering = hold
        with subprocess.Popen(
            [sys.executable, "-c", program, server.url], stdin=-1, stdout=-1, text=True
        ) as process:
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


# --- nothing was sent ----------------------------------------------------------------------------------------


def test_refused_connection_sent_nothing(client: HttpClient) -> None:
    outcome = client.request("GET", f"http://127.0.0.1:{free_port()}")

    assert outcome == NoResponse("the connection was refused, or the host cannot be reached", sent=False)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid", "nirgendwö.invalid"])
def test_unknown_host_sent_nothing(client: HttpClient, host: str) -> None:
    assert client.request("GET", f"https://{host}/") == NoResponse(
        "the host name cannot be resolved", sent=False
    )


def test_every_address_of_a_host_is_tried(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback(answer(b"fine")) as server:
        port = int(server.url.rpartition(":")[2])
        addresses = [(2, 1, 6, "", ("127.0.0.1", free_port())), (2, 1, 6, "", ("127.0.0.1", port))]
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
    ],
)
def test_response_without_a_whole_head(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        outcome = client.request("POST", server.url, body=b"{}")

    assert outcome == NoResponse(BROKEN, sent=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 429, 500])
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nbroken trailer\r\n\r\n",
    ],
)
def test_head_counts_whatever_happens_to_the_body(client: HttpClient, status: int, rest: bytes) -> None:
    with loopback(raw(b"HTTP/1.1 %d So\r\nRetry-After: 7\r\n" % status + rest)) as server:
        response = get(client, server)

    assert (response.status, response.body, response.body_error) == (status, b"", BROKEN)
    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize("answering", [silence, then_silence(b"HTTP/1.1 200 OK\r\n")])
def test_silence_is_given_up(hasty: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        assert hasty.request("GET", server.url) == NoResponse(NOT_IN_TIME, sent=True)


@pytest.mark.parametrize(
    "answering",
    [
        then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"),
        drip(CHUNKED, b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
def test_slow_body_is_given_up(hasty: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        response = get(hasty, server)

    assert (response.status, response.body_error) == (200, NOT_IN_TIME)


@pytest.mark.parametrize(
    "answering", [drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n")]
)
def test_deadline_holds_in_every_thread_however_busy_the_server_is(answering: Answering) -> None:
    client = HttpClient(read_timeout=0.5, deadline=1)
    found: list[Response | NoResponse] = []
    begun = time.monotonic()
    with loopback(answering) as server:
        threads = [
            threading.Thread(target=lambda: found.append(client.request("GET", server.url))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == [NoResponse(NOT_IN_TIME, sent=True)] * 4
    assert time.monotonic() - begun < 5


def test_server_that_does_not_read_is_given_up(hasty: HttpClient) -> None:
    # A request that fits into no buffer on the way.
    body = b"x" * 50_000_000
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        outcome = hasty.request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}", body=body)

    assert outcome == NoResponse(NOT_IN_TIME, sent=True)


def test_server_that_never_completes_the_handshake_is_given_up(hasty: HttpClient) -> None:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        outcome = hasty.request("GET", f"https://127.0.0.1:{listener.getsockname()[1]}")

    assert outcome == NoResponse("the host did not accept the connection in time", sent=False)


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
    ],
)
def test_huge_body_is_given_up(client: HttpClient, answering: Answering) -> None:
    with loopback(answering) as server:
        response = get(client, server)

    assert response.status == 200
    assert response.body == b""
    assert response.body_error in (TOO_LARGE, BROKEN)


def test_huge_head_is_given_up(client: HttpClient) -> None:
    with loopback(drip(b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 900)) as server:
        assert client.request("GET", server.url) == NoResponse(TOO_LARGE, sent=True)
    with loopback(drip(b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 900)) as server:
        roomy = HttpClient(max_response_bytes=100_000_000)
        assert roomy.request("GET", server.url) == NoResponse(TOO_LARGE, sent=True)


PIECES = [
    *(
        b"HTTP/1.1 ",
        b"HTTP/1.0 ",
        b"200",
        b"103",
        b"101",
        b"204",
        b"999",
        b"000",
        b" OK",
        b"\r\n",
        b"\n",
        b"\r",
    ),
    *(
        b"\r\n\r\n",
        b"Content-Length: ",
        b"5",
        b"-1",
        b"9" * 30,
        b"Transfer-Encoding: chunked",
        b": ",
        b"\x00",
    ),
    *(
        b"Connection: close",
        b"Upgrade: h2c",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate",
        b"\xff",
    ),
    *(
        b" fold",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: x\r\n\r\n",
        b"f" * 20 + b"\r\n",
        b'1;e="\r\n"\r\na\r\n',
    ),
]


@given(
    begun=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
    pieces=st.lists(st.sampled_from(PIECES), max_size=12),
)
def test_whatever_a_server_sends_the_next_request_gets_its_own_response(
    begun: bytes, pieces: list[bytes]
) -> None:
    client = HttpClient(read_timeout=5, deadline=5)
    with loopback(raw(begun + b"".join(pieces))) as server:
        outcome = client.request("GET", server.url)
        assert isinstance(outcome, Response | NoResponse)
        server.answering = numbered()
        assert get(client, server, "/mine").body == b"/mine"
    client.close()


# --- compression -----------------------------------------------------------------------------------------------


def raw_deflate(content: bytes) -> bytes:
    return zlib.compress(content)[2:-4]


@pytest.mark.parametrize(
    "coding,pack",
    [
        ("gzip", compress),
        ("GZIP", compress),
        ("x-gzip", compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
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


def test_small_body_that_unpacks_to_a_huge_one_is_given_up(client: HttpClient) -> None:
    with loopback(answer(compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"})) as server:
        response = get(client, server)

    assert (response.status, response.body, response.body_error) == (200, b"", TOO_LARGE)


# --- TLS -------------------------------------------------------------------------------------------------------


def test_certificate_must_be_trusted(client: HttpClient) -> None:
    trusting = HttpClient(ca_certs=str(CERTIFICATE))
    with loopback(answer(b"secret"), tls=True) as server:
        refused = client.request("GET", server.url, headers=HEADERS)
        assert server.requests == []
        accepted = [get(trusting, server).body for _ in range(3)]
    trusting.close()

    assert isinstance(refused, NoResponse)
    assert not refused.sent
    assert refused.reason.startswith("the certificate cannot be trusted (self")
    assert accepted == [b"secret"] * 3


def test_encrypted_connection_is_used_again() -> None:
    trusting = HttpClient(ca_certs=str(CERTIFICATE))
    with loopback(numbered(), tls=True) as server:
        assert [get(trusting, server, path).body for path in ("/a", "/b", "/c")] == [b"/a", b"/b", b"/c"]
        assert len(server.requests) == 3
    trusting.close()
    # The refused one of `loopback` aside, the session's tickets do not look like unexpected bytes.
    assert len(server.connections) == 1


def test_certificate_must_be_that_of_the_host() -> None:
    trusting = HttpClient(ca_certs=str(CERTIFICATE))
    with loopback(answer(b"secret"), tls=True) as server:
        outcome = trusting.request("GET", server.url.replace("localhost", "127.0.0.2"))

    assert isinstance(outcome, NoResponse)
    assert not outcome.sent
    assert server.requests == []


def test_server_without_tls_is_not_asked(client: HttpClient) -> None:
    with loopback(sending(OK)) as server:
        outcome = client.request("GET", server.url.replace("http:", "https:"), headers=HEADERS)

    assert outcome == NoResponse("no TLS connection could be established", sent=False)
    assert server.requests == []


def test_encrypted_response_is_bounded_too() -> None:
    hasty = HttpClient(ca_certs=str(CERTIFICATE), read_timeout=0.5, deadline=1)
    with loopback(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"), tls=True) as server:
        assert get(hasty, server).body_error == NOT_IN_TIME


# --- URLs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url,reason",
    [
        ("http://api.example.com/v1", "must begin with https://"),
        ("http://bücher.example/v1", "must begin with https://"),
        ("ftp://localhost/v1", "must begin with https://"),
        ("file:///etc/passwd", "must be a URL with a host"),
        ("api.example.com", "must be a URL with a host"),
        ("", "must not be empty"),
        (cast(Any, None), "must be a string, not NoneType"),
        (cast(Any, b"https://api.example.com"), "must be a string, not bytes"),
        ("https://api.example.com/\r\nX: y", "control characters"),
        ("https://", "must be a URL with a host"),
        ("https:///v1", "must be a URL with a host"),
        ("https://api.example.com:0", "must be a URL with a host"),
        ("https://api.example.com:65536", "must be a URL with a host"),
        ("https://api example.com", "must be a URL with a host"),
        ("https://[::1", "must be a URL with a host"),
        ("https://[fe80::1%25eth0]/", "must be a URL with a host"),
        ("https://api.example.com:x", "must be a URL with a host"),
        ("https://\u2028.example", "must be a URL with a host"),
        ("https://user:secret@api.example.com", "must not contain a user name or a password"),
        ("https://secret@bücher.example", "must not contain a user name or a password"),
        ("http://localhost.example.com", "must begin with https://"),
        ("http://127.0.0.1.example.com", "must begin with https://"),
    ],
)
def test_url_that_must_not_be_asked(client: HttpClient, url: str, reason: str) -> None:
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


def test_plain_http_to_others_only_where_allowed() -> None:
    check_url("http://vouchers.internal:8080", allow_http=True)


def test_international_host_is_asked_under_its_ascii_name(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    with listener:

        def serve() -> None:
            connection, _ = listener.accept()
            received = connection.recv(10_000)
            assert f"Host: [::1]:{listener.getsockname()[1]}\r\n".encode() in received
            connection.sendall(OK)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = client.request("GET", f"http://[::1]:{listener.getsockname()[1]}/")
        thread.join(10)

    assert isinstance(outcome, Response)
    assert outcome.body == b"fine"


# --- arguments and secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"X-App-Token": f"{SECRET}\r\nHost: x"},
        {"X-App-Token": f"{SECRET}\u20b9"},
        {"X-App-Token": f"{SECRET}\x00"},
        {"X\n": "y"},
        {"": "y"},
        {"ü": "y"},
        {"X": cast(Any, None)},
        {"X": cast(Any, SECRET.encode())},
        cast(Any, {5: "y"}),
        cast(Any, 5),
        cast(Any, [("X", "y")]),
    ],
)
def test_header_that_cannot_be_sent(client: HttpClient, headers: dict[str, str]) -> None:
    for check in (check_headers, lambda wrong: client.request("GET", "http://localhost:1", headers=wrong)):
        with pytest.raises(InvalidInput, match=r"^headers: ") as caught:
            check(headers)
        assert SECRET not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "wrong,field",
    [
        ({"method": "GET /"}, "method"),
        ({"method": 5}, "method"),
        ({"body": "text"}, "body"),
        ({"headers": {"Transfer-Encoding": "gzip"}}, "headers"),
    ],
)
def test_request_that_cannot_be_sent(client: HttpClient, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.request(**{"method": "GET", "url": "http://localhost:1", **wrong})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "field,value",
    [
        ("connect_timeout", 0),
        ("read_timeout", float("nan")),
        ("deadline", float("inf")),
        ("deadline", "30"),
        ("max_response_bytes", 0),
        ("connections", True),
        ("ca_certs", "/no/such/file.pem"),
        ("ca_certs", 5.5),
        ("ca_certs", __file__),
    ],
)
def test_limit_that_makes_no_sense(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        HttpClient(**{field: value})
    assert caught.value.field == field


def test_outcomes_hide_what_was_said() -> None:
    shown = repr(Response(status=200, headers={"set-cookie": SECRET}, body=SECRET.encode()))

    assert shown == "Response(status=200, body_error=None)"


def test_nothing_of_a_request_is_logged(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    malformed = raw(b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n")
    with caplog.at_level(logging.DEBUG), loopback(malformed) as server:
        client.request("GET", f"{server.url}/?voucher={SECRET}", headers=HEADERS)
        server.answering = answer()
        client.request("GET", f"{server.url}/?voucher={SECRET}", headers=HEADERS)
    assert caplog.text == ""


def test_client_that_is_forgotten_closes_its_connections() -> None:
    ended = threading.Event()

    def wait_for_the_end(connection: socket, request: Received) -> None:
        connection.sendall(OK)
        assert connection.recv(1) == b""
        ended.set()

    with loopback(wait_for_the_end) as server:
        get(HttpClient(), server)
        assert ended.wait(30)
