"""The command on the address of a PostgreSQL server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from partner_vouchers.cli.context import Exit
from tests.support.command import Run
from tests.support.postgres import server


@pytest.fixture
def address() -> Iterator[str]:
    """The address of an empty schema."""
    schema = f"command_{os.getpid()}"
    with psycopg.connect(server().conninfo, autocommit=True) as operator:
        operator.execute(f"CREATE SCHEMA {schema}")
        query = {"host": conninfo_to_dict(server().conninfo)["host"], "options": f"-c search_path={schema}"}
        yield f"postgresql://postgres:hunter2@/postgres?{urlencode(query, quote_via=quote)}"
        operator.execute(f"DROP SCHEMA {schema} CASCADE")


def test_the_main_job_on_postgresql(run: Run, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_VOUCHERS_DB", address)
    code, out, _ = run("doctor", "--json")
    assert (code, json.loads(out)[0]["problem"]) == (Exit.FINDINGS, "the tables are missing or too old")
    assert json.loads(out)[0]["subject"] == "postgresql:///postgres"
    assert json.loads(out)[0]["advice"].endswith(
        "run `partner-vouchers migrate` once, and again after each upgrade"
    )
    assert "hunter2" not in out
    code, _, err = run("lists")
    assert (code, "run `partner-vouchers migrate`" in err) == (Exit.STORAGE, True)

    assert run("migrate")[:2] == (Exit.OK, "The storage is up to date.\n")
    assert run("create", "--partner", "Puma", "--tag", "winter", "--expires", "2199-03-31")[0] == Exit.OK
    Path("codes.csv").write_text("code\nPM500FF-2026-XYZ\n")
    assert run("upload", "1", "codes.csv")[0] == Exit.OK
    assert run("assign", "--user", "asha", "--list", "1")[0] == Exit.OK
    assert run("doctor")[0] == Exit.OK
    assert json.loads(run("lists", "--json")[1])["items"][0]["distributed"] == 1
    assert list(Path().glob("*.db")) == []
