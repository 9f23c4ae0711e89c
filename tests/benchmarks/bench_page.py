"""What the page costs: the lists page of many lists, and a large file uploaded through it."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.page import create_app
from tests.benchmarks.figures import record
from tests.benchmarks.measure import cpu, new_library, new_list, random_codes
from tests.support.host import a_file
from tests.support.page import TOKEN

GROUP = "The page"
LISTS, ROUNDS = 10_000, 9
ROWS, LENGTH = 1_000_000, 48
BOUNDARY = "a-part-of-the-form"

SERVER = """
    import socket, sys, threading
    import uvicorn
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.sqlite import SQLiteStorage
    from partner_vouchers.page import create_app

    def megabytes(field):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))

    app = create_app(PartnerVouchers(SQLiteStorage(sys.argv[1])), authorize=lambda request, permission: "asha")
    listening = socket.socket(fileno=int(sys.argv[2]))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    for line in sys.stdin:
        if line == "begin\\n":
            with open("/proc/self/clear_refs", "w") as peak:
                peak.write("5")
        print(megabytes("VmHWM"), flush=True)
"""


@pytest.mark.parametrize("path", ["/", "/?sort=-uploaded", "/?text=999"])
def test_the_lists_page_of_many_lists(path: str, tmp_path: Path) -> None:
    vouchers = PartnerVouchers(SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL"))
    for number in range(LISTS):
        new_list(vouchers, f"tag-{number}")
    client = TestClient(create_app(vouchers, authorize=lambda request, permission: "asha"))

    assert client.get(path).status_code == 200
    milliseconds = 1000 * statistics.median(cpu(lambda: client.get(path)) for _ in range(ROUNDS))
    what = f"CPU time of {path} of {LISTS:,} lists"
    record(GROUP, what, milliseconds, beside="a page of 50 rows, with the client", goal=50, unit="ms")


def test_memory_of_a_large_file(tmp_path: Path) -> None:
    vouchers = new_library(tmp_path / "vouchers.db")
    list_id = new_list(vouchers)
    content = a_file(*random_codes(ROWS, seed=1, length=LENGTH))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        arguments = [str(tmp_path / "vouchers.db"), str(listening.fileno())]
        server = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVER), *arguments],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = listening.getsockname()[1]

    def peak(word: str) -> float:
        assert server.stdin is not None
        assert server.stdout is not None
        print(word, file=server.stdin, flush=True)
        return float(server.stdout.readline())

    try:
        upload(vouchers, port, list_id, "small.csv", b"PM500AA\n")
        idle = peak("begin")
        upload(vouchers, port, list_id, "large.csv", content)
        most = peak("end")
    finally:
        server.kill()
        server.communicate()
    what = f"memory of an upload of {len(content) / 1024**2:.0f} MB"
    record(GROUP, what, most - idle, beside=f"above the idle server: {idle:.0f} MB", goal=32, unit="MB")


def upload(vouchers: PartnerVouchers, port: int, list_id: str, name: str, content: bytes) -> None:
    """Send a file as a browser does, and wait until it is completed."""
    path = f"/lists/{list_id}/uploads"
    with closing(HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        connection.request("GET", path)
        page = connection.getresponse()
        token = TOKEN.search(page.read().decode())
        assert token is not None
        part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
        fields = f'{part}"csrf_token"\r\n\r\n{token[1]}\r\n{part}"file"; filename="{name}"\r\n\r\n'
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Cookie": str(page.headers["Set-Cookie"]).partition(";")[0],
        }
        connection.request(
            "POST", path, b"".join([fields.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()]), headers
        )
        assert connection.getresponse().status == 303
    while name not in [done.filename for done in vouchers.uploads.find(status="Completed").items]:
        time.sleep(0.5)
