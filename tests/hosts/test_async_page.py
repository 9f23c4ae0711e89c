"""The application of the how-to about asyncio: under uvicorn in a process of its own, on both databases."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import create_engine, text

import partner_vouchers
from partner_vouchers import PartnerVouchers
from partner_vouchers.ports import Storage
from tests.hosts.kinds import POSTGRES, databases_by_turns
from tests.hosts.shop import Place, asynchronous, stock, with_lines
from tests.support.host import PATIENCE, some_codes

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "async.md").read_text(encoding="utf-8")


def application(kind: str, place: Place) -> str:
    """Return the application of the page, with the addresses of a database that is there."""
    (source,) = re.findall(r"^```python\n# async_shop\.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if kind != POSTGRES:
        return str(source)
    _, section = PAGE.split("On PostgreSQL two lines differ")
    imports, engine, vouchers = re.findall(r"^(?:from|engine|vouchers) .*$", section, re.MULTILINE)[:3]
    engine = engine.replace("postgresql+psycopg_async://shop@localhost/shop", asynchronous(place.url))
    return with_lines(
        source,
        {
            "from partner_vouchers.adapters.sqlite import SQLiteStorage": imports,
            'engine = create_async_engine("sqlite+aiosqlite:///shop.db", pool_size=1, max_overflow=0)': engine,
            'vouchers = AsyncPartnerVouchers(SQLiteStorage("shop.db"))': vouchers.replace(
                "postgresql://shop@localhost/shop", place.conninfo
            ),
        },
    )


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    return PartnerVouchers(storage)


@pytest.fixture
def address(kind: str, place: Place, tmp_path: Path, vouchers: PartnerVouchers) -> Iterator[str]:
    """Serve the application; return its address."""
    vouchers.check()
    (tmp_path / "async_shop.py").write_text(application(kind, place), encoding="utf-8")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # Clients are queued from here on, also while the application starts.
        listening.listen(256)
        command = ["uvicorn", "async_shop:app", "--fd", str(listening.fileno()), "--log-level", "warning"]
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{Path(partner_vouchers.__file__).parents[1]}:{tmp_path}", "PATH": ""},
            pass_fds=[listening.fileno()],
        )
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        # It answers once it has started.
        assert httpx2.get(f"{address}/users/nobody/vouchers", timeout=PATIENCE).json() == []
        yield address
    finally:
        server.terminate()
        assert server.wait(PATIENCE) in (0, -15)
        remove_orders(place)


def remove_orders(place: Place) -> None:
    engine = create_engine(place.url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE orders"))
    engine.dispose()


def orders(place: Place) -> dict[str, str]:
    engine = create_engine(place.url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id, voucher_code FROM orders")).all()
    engine.dispose()
    return {row[0]: row[1] for row in found}


async def place_orders(address: str, ids: list[str]) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=PATIENCE * 2) as client:
        return list(
            await asyncio.gather(
                *(client.put(f"/orders/{order}", json={"user_id": f"user-of-{order}"}) for order in ids)
            )
        )


@databases_by_turns
def test_orders_at_once_and_clients_that_leave(address: str, vouchers: PartnerVouchers, place: Place) -> None:
    codes = some_codes(200)
    list_id = stock(vouchers, *codes)
    ids = [f"order-{number}" for number in range(200)]
    asyncio.run(leave(address, ids[:40]))
    # Each of those who left repeats its request; the others come for the first time.
    answers = asyncio.run(place_orders(address, ids))
    assert Counter(answer.status_code for answer in answers) == {200: 200}
    given = {answer.json()["order_id"]: answer.json()["voucher_code"] for answer in answers}
    assert sorted(given.values()) == codes
    assert orders(place) == given
    assert vouchers.lists.get(list_id).distributed == 200

    (refused,) = asyncio.run(place_orders(address, ["one too many"]))
    assert (refused.status_code, refused.json()["error"]) == (409, "codes_exhausted")
    (held,) = httpx2.get(f"{address}/users/user-of-order-7/vouchers").json()
    assert (held["code"], held["campaign_id"]) == ("PM…", "CMP123456")


async def leave(address: str, ids: list[str]) -> None:
    """Place orders, and hang up: some at once, some while their order is worked on."""
    port = int(address.rpartition(":")[2])

    async def order_and_leave(number: int, order: str) -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"user_id": f"user-of-{order}"})
        head = f"PUT /orders/{order} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        for _ in range(number * 5):
            await asyncio.sleep(0)
        writer.transport.abort()

    await asyncio.gather(*(order_and_leave(*each) for each in enumerate(ids)))
