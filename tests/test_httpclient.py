import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from socket import socket
from typing import Any, cast

import pytest
import urllib3

from partner_vouchers.errors import InvalidInput
from partner_vouchers.httpclient import Answer, HttpClient, NoAnswer, NotSent, check_url
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


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(connect_timeout=5, read_timeout=5, deadline=10, max_answer_bytes=20_000)
    yield client
    client.close()


@pytest.fixture
def hasty() -> Iterator[HttpClient]:
    """Gives up after half a second of silence, or a second altogether."""
    client = HttpClient(connect_timeout=1, read_timeout=0.5, deadline=1)
    yield client
    client.close()


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


def test_request_and_answer_arrive_as_they_were_sent(client: HttpClient) -> None:
    with loopback(answer({"ok": True}, headers={"X-Request-Id": "r1"})) as server:
        outcome = client.request("POST", f"{server.url}/1/upload?a=b%20c", headers=HEADERS, body=b'{"d":[]}')

    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.body) == (200, b'{"ok": true}')
    assert outcome.headers["x-request-id"] == "r1"
    (received,) = server.requests
    assert (received.method, received.target, received.body) == ("POST", "/1/upload?a=b%20c", b'{"d":[]}')
    assert received.headers["x-app-token"] == SECRET


@pytest.mark.parametrize("status", [201, 301, 302, 307, 400, 402, 404, 429, 500, 503])
def test_any_status_is_an_answer(client: HttpClient, status: int) -> None:
    with loopback(answer(b"so", status, {"Location": "/elsewhere", "Retry-After": "1"})) as server:
        outcome = client.request("GET", server.url)

    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.body, outcome.headers["retry-after"]) == (status, b"so", "1")
    # Neither followed nor repeated.
    assert len(server.requests) == 1


def test_connection_is_used_again(client: HttpClient) -> None:
    with loopback(answer(b"x" * 10_000)) as server:
        for _ in range(3):
            assert isinstance(client.request("GET", server.url), Answer)

    assert (len(server.requests), len(server.connections)) == (3, 1)


def test_answer_in_chunks_and_until_the_end_of_the_connection(client: HttpClient) -> None:
    chunks = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"
    )
    until_the_end = raw(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de")
    for answering in (chunks, until_the_end):
        with loopback(answering) as server:
            outcome = client.request("GET", server.url)
        assert isinstance(outcome, Answer)
        assert outcome.body == b"abcde"


def test_refused_connection_sent_nothing(client: HttpClient) -> None:
    outcome = client.request("GET", f"http://127.0.0.1:{free_port()}")

    assert outcome == NotSent("the connection was refused, or the host cannot be reached")


def test_unknown_host_sent_nothing(client: HttpClient) -> None:
    outcome = client.request("GET", "https://nowhere.invalid/")

    assert isinstance(outcome, NotSent)


@pytest.mark.parametrize(
    "answering,status",
    [
        (reset, None),
        (raw(b""), None),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Len"), None),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), None),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), 200),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), 200),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab"), 200),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab"), 200),
        (raw(b"what is it?\r\n\r\n"), None),
    ],
)
def test_answer_that_breaks_off(client: HttpClient, answering: Answering, status: int | None) -> None:
    with loopback(answering) as server:
        outcome = client.request("POST", server.url, body=b"{}")

    assert outcome == NoAnswer("the connection broke off, or the answer is not HTTP", status)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answering,status",
    [
        (silence, None),
        (then_silence(b"HTTP/1.1 200 OK\r\n"), None),
        (then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), 200),
        (drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), None),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"), 200),
        (drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), 200),
    ],
)
def test_slow_answer_is_given_up(hasty: HttpClient, answering: Answering, status: int | None) -> None:
    with loopback(answering) as server:
        outcome = hasty.request("GET", server.url)

    assert outcome == NoAnswer("no whole answer came in time", status)


def test_server_that_does_not_read_is_given_up(hasty: HttpClient) -> None:
    # A request that fits into no buffer on the way.
    body = b"x" * 50_000_000
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        outcome = hasty.request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}", body=body)

    assert outcome == NoAnswer("no whole answer came in time")


@pytest.mark.parametrize(
    "answering,status",
    [
        (answer(b"x" * 20_000), 200),
        (drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 0x4000), 200),
        # Neither a line nor a header without end takes memory.
        (drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1" * 10_000), 200),
        (drip(b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 90), None),
    ],
)
def test_huge_answer_is_given_up(client: HttpClient, answering: Answering, status: int | None) -> None:
    with loopback(answering) as server:
        outcome = client.request("GET", server.url)

    assert isinstance(outcome, NoAnswer)
    # The client has a limit of its own on the number of header lines.
    assert outcome.reason == "the answer is too large" or status is None
    assert outcome.status == status


def test_after_a_failure_the_client_goes_on(client: HttpClient) -> None:
    with loopback(reset) as server:
        assert isinstance(client.request("GET", server.url), NoAnswer)
        server.answering = answer(b"x" * 30_000)
        assert isinstance(client.request("GET", server.url), NoAnswer)
        server.answering = answer(b"fine")
        outcome = client.request("GET", server.url)

    assert isinstance(outcome, Answer)
    assert outcome.body == b"fine"


def test_packed_answer_is_not_unpacked(client: HttpClient) -> None:
    with loopback(answer(b"\x1f\x8b...", headers={"Content-Encoding": "gzip"})) as server:
        outcome = client.request("GET", server.url)

    assert isinstance(outcome, Answer)
    assert outcome.body == b"\x1f\x8b..."
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_certificate_must_be_trusted(client: HttpClient) -> None:
    trusting = HttpClient(ca_certs=str(CERTIFICATE))
    with loopback(answer(b"secret"), tls=True) as server:
        refused = client.request("GET", server.url, headers=HEADERS)
        assert server.requests == []
        accepted = trusting.request("GET", server.url)
    trusting.close()

    assert isinstance(refused, NotSent)
    assert refused.reason.startswith("the certificate cannot be trusted (self")
    assert isinstance(accepted, Answer)
    assert accepted.body == b"secret"


def test_certificate_must_be_that_of_the_host() -> None:
    trusting = HttpClient(ca_certs=str(CERTIFICATE))
    with loopback(answer(b"secret"), tls=True) as server:
        outcome = trusting.request("GET", server.url.replace("localhost", "127.0.0.2"))
    trusting.close()

    assert isinstance(outcome, NotSent)
    assert server.requests == []


def test_encrypted_answer_is_bounded_too() -> None:
    hasty = HttpClient(ca_certs=str(CERTIFICATE), read_timeout=0.5, deadline=1)
    with loopback(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"), tls=True) as server:
        outcome = hasty.request("GET", server.url)
    hasty.close()

    assert outcome == NoAnswer("no whole answer came in time", 200)


@pytest.mark.parametrize(
    "url,reason",
    [
        ("http://api.example.com/v1", "must begin with https://"),
        ("ftp://localhost/v1", "must begin with https://"),
        ("file:///etc/passwd", "must name a host"),
        ("api.example.com", "must begin with https://"),
        ("", "must not be empty"),
        (cast(Any, None), "must be a string, not NoneType"),
        ("https://api.example.com/\r\nX: y", "must not hold control characters"),
        ("https://", "must name a host"),
        ("https://[::1", "is not a URL"),
        ("https://user:secret@api.example.com", "must hold no user name or password"),
        ("http://localhost.example.com", "must begin with https://"),
        ("http://127.0.0.1.example.com", "must begin with https://"),
    ],
)
def test_url_that_must_not_be_asked(client: HttpClient, url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        client.request("GET", url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "HTTPS://API.EXAMPLE.COM/",
        "http://localhost:8080",
        "http://127.1.2.3",
        "http://[::1]:80/x",
    ],
)
def test_url_that_may_be_asked(url: str) -> None:
    check_url(url)


def test_plain_http_to_others_only_where_allowed() -> None:
    check_url("http://vouchers.internal:8080", allow_http=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-App-Token": f"{SECRET}\r\nHost: x"},
        {"X-App-Token": f"{SECRET}\u20b9"},
        {"X\n": "y"},
        {"X": cast(Any, None)},
    ],
)
def test_header_that_cannot_be_sent(client: HttpClient, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.request("GET", "http://localhost:1", headers=headers)
    assert SECRET not in str(caught.value)


def test_outcomes_hide_what_was_said() -> None:
    shown = repr(Answer(status=200, headers={"set-cookie": SECRET}, body=SECRET.encode()))

    assert shown == "Answer(status=200)"


def test_nothing_of_a_request_is_logged(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    malformed = raw(b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n")
    with caplog.at_level(logging.DEBUG), loopback(malformed) as server:
        client.request("GET", f"{server.url}/?voucher={SECRET}", headers=HEADERS)
        assert SECRET not in caplog.text
        # Other users of the same library keep their log.
        with urllib3.PoolManager() as another:
            another.request("GET", f"{server.url}/?mine")
    assert "?mine" in caplog.text


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['urllib3'] = None; import partner_vouchers.httpclient"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False)

    assert done.returncode == 1
    assert "ModuleNotFoundError: HTTP needs urllib3: install partner-vouchers[http]" in done.stderr


def test_threads_share_a_client(client: HttpClient) -> None:
    def echo(connection: socket, request: Received) -> None:
        answer(request.target.encode())(connection, request)

    wrong: list[str] = []

    def ask(server: Loopback, thread: int) -> None:
        for number in range(20):
            target = f"/{thread}/{number}"
            outcome = client.request("GET", server.url + target)
            if not isinstance(outcome, Answer) or outcome.body != target.encode():
                wrong.append(target)

    with loopback(echo) as server:
        threads = [threading.Thread(target=ask, args=(server, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []
    assert len(server.requests) == 160
