"""What a type checker tells a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import partner_vouchers

HOST = """\
from collections.abc import AsyncIterator
from typing import assert_type

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from partner_vouchers import Assignment, BatchOutcome, ListView, Page, PartnerVouchers, Reward, Upload
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.aio import AsyncPartnerVouchers

vouchers = AsyncPartnerVouchers(MemoryStorage())
assert_type(PartnerVouchers(SQLiteStorage("vouchers.db")).codes.assign(list_id="1", user_id="u"), Reward)
AsyncPartnerVouchers(PostgresStorage("dbname=shop"))
PartnerVouchers("vouchers.db")  # wrong


async def serve(session: AsyncSession, connection: AsyncConnection) -> None:
    assert_type(await vouchers.codes.assign(campaign_id="C", user_id="u"), Reward)
    assert_type(await vouchers.using(session).codes.assign(campaign_id="C", user_id="u"), Reward)
    assert_type(await vouchers.using(connection).codes.assign_many(list_id="1", user_ids=["u"]), BatchOutcome)
    assert_type(await vouchers.lists.find(), Page[ListView])
    assert_type((await vouchers.lists.get("1")).distributed, int)
    assert_type(await vouchers.uploads.add("1", b"A", filename="a.csv", uploaded_by="u"), Upload)
    assert_type(vouchers.codes.assignments("1"), AsyncIterator[Assignment])
    async for piece in vouchers.codes.export("1"):
        assert_type(piece, bytes)
    await vouchers.codes.assign(campaign_id="C")  # wrong
    await vouchers.codes.assign(campaign_id="C", user_id=1)  # wrong
    await vouchers.codes.assign(campaign="C", user_id="u")  # wrong
    (await vouchers.codes.assign(campaign_id="C", user_id="u")).cod  # wrong
    await vouchers.lists.paused("1")  # wrong
    vouchers.codes.assign(campaign_id="C", user_id="u").code  # wrong
"""


def test_pyright_knows_every_call_and_result(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST, encoding="utf-8")
    sources = str(Path(partner_vouchers.__file__).parents[1])
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [sources]}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "host.py"],
        cwd=tmp_path,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    told = json.loads(done.stdout)["generalDiagnostics"]
    wrong = {number for number, line in enumerate(HOST.splitlines()) if line.endswith("# wrong")}
    assert {each["range"]["start"]["line"] for each in told} == wrong, told
