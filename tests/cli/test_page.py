from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.cli import main
from partner_vouchers.cli.context import Exit


def test_the_page_is_served_to_who_knows_the_password(tmp_path: Path) -> None:
    database = tmp_path / "vouchers.db"
    with closing(SQLiteStorage(database)) as storage:
        PartnerVouchers(storage).partners.add("Puma")
    options = ["--port", "0", "--actor", "asha", "--db", str(database), "--json"]
    command = [sys.executable, "-m", "partner_vouchers", "page", *options]
    # In a group of its own, so that Ctrl-C reaches it alone.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            said = json.loads("".join(process.stdout.readline() for _ in range(5)))
            address, password = said["url"], said["password"]
            assert said["name"] == "asha"
            assert httpx2.get(address, trust_env=False).status_code == 401
            shown = httpx2.get(address, auth=("asha", password), trust_env=False)
            assert "There is no voucher list yet" in shown.text
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() in (Exit.OK, Exit.INTERRUPTED)


def test_there_is_nothing_to_serve_without_a_file(tmp_path: Path) -> None:
    assert main(["page", "--port", "0", "--db", str(tmp_path / "missing.db")]) == Exit.USAGE
