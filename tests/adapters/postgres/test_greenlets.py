"""With gevent: greenlets that are killed, whatever they do, give back what they had of the pool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import partner_vouchers
from tests.support.postgres import server

SCRIPT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage

storage = PostgresStorage(sys.argv[1], schema=sys.argv[2], max_connections=4, timeout=20)
vouchers = PartnerVouchers(storage)

def occupy(event):
    with storage.begin(write=False):
        event.wait()

for _ in range(4):
    release = gevent.event.Event()
    holders = [gevent.spawn(occupy, release) for _ in range(3)]
    gevent.sleep(0.05)
    waiting = [gevent.spawn(vouchers.partners.all) for _ in range(8)]
    gevent.sleep(0.05)
    gevent.killall(waiting)
    gevent.killall(holders[:1])
    release.set()
    gevent.joinall(holders)

release = gevent.event.Event()
holders = [gevent.spawn(occupy, release) for _ in range(2)]
gevent.sleep(0.05)
print(len(vouchers.partners.all()))
release.set()
gevent.joinall(holders, raise_error=True)
storage.close()
"""


@pytest.mark.deep
def test_killed_greenlets_keep_no_room_of_the_pool(schema: str) -> None:
    sources = str(Path(partner_vouchers.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, server().conninfo, schema],
        env={"PYTHONPATH": ":".join([sources, *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
