"""The page about PostgreSQL: what it shows is run, on a server that is there."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from partner_vouchers import PartnerVouchers
from tests.adapters.postgres.conftest import Connect, Connection
from tests.support.host import EXPIRY
from tests.support.postgres import end, server

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "postgres.md"
BLOCK = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "postgresql://shop@db.example/shop"


def test_what_the_page_shows_works(schema: str, connect: Connect) -> None:
    make, take_sql, own_pool, order, repeat = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    conninfo = psycopg.conninfo.make_conninfo(server().conninfo, options=f"-c search_path={schema},public")
    names: dict[str, object] = {}

    def run(block: str) -> None:
        exec(block.replace(ADDRESS, conninfo), names)

    run(make)
    run(take_sql)
    assert "CREATE TABLE" in str(names["sql"])
    names["storage"].close()  # type: ignore[attr-defined]
    run(own_pool)
    vouchers = PartnerVouchers(names["storage"])  # type: ignore[arg-type]
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(partner="Puma", tag="winter", name="Winter Sale", expires_at=EXPIRY)
    vouchers.uploads.add(winter.id, b"PM500AA\n", filename="codes.csv", uploaded_by="ops")
    vouchers.campaigns.link(winter.id, "CMP123456")
    run(order)
    assert connect().execute("SELECT id, code FROM orders").fetchall() == [("order-991", "PM500AA")]

    def place_order(joined: PartnerVouchers, connection: Connection) -> None:
        backends.append(connection.info.backend_pid)
        if len(backends) == 1:
            end(*backends)
        code = joined.codes.assign(campaign_id="CMP123456", user_id="user-42").code
        connection.execute("INSERT INTO orders VALUES ('order-992', %s)", (code,))

    backends = list[int]()
    names["place_order"] = place_order
    run(repeat)
    assert len(set(backends)) == 2
    assert len(connect().execute("SELECT id FROM orders").fetchall()) == 2
    names["pool"].close()  # type: ignore[attr-defined]
