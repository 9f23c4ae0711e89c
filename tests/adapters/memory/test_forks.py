"""A storage in memory belongs to one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.host import PATIENCE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SCENE = """
import os
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import StorageForked
from tests.support.host import FixedClock, Host

host = Host(MemoryStorage(), FixedClock())
found = host.a_list("A", "B")
with host.storage.begin() as tx:
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: tx.partners.all(), lambda: tx.commit(), lambda: host.give(found.id, "child"),
                     lambda: host.vouchers.lists.get(found.id)):
            try:
                call()
            except StorageForked:
                refused += 1
        own = Host(MemoryStorage(), FixedClock())
        os._exit(0 if (refused, own.give(own.a_list("C").id, "child")) == (4, ["C"]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    tx.commit()
assert host.give(found.id, "ann", "ben") == ["A", "B"]
"""


def test_a_child_cannot_use_it_and_the_parent_goes_on() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCENE],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
