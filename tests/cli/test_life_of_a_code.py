from __future__ import annotations

from pathlib import Path

from partner_vouchers.cli.context import Exit
from tests.cli.test_commands import CODE, Run, filled, from_json, run, winter

__all__ = ["filled", "run", "winter"]


def test_a_redemption_is_recorded_and_reverted(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    assert run("redeem", CODE, "--order", "4711", "--amount", "9.90")[0] == Exit.OK
    assert run("redeem", CODE, "--order", "4712")[0] == Exit.REFUSED
    assert run("redeem", CODE, "--order", "4711", "--revert")[0] == Exit.OK
    assert run("redeem", CODE, "--order", "4713", "--amount", "cheap")[0] == Exit.USAGE


def test_a_partners_file_is_reconciled(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    Path("redeemed.csv").write_text(f"Coupon Code;Order ID\n{CODE};4711\nNEVER-SEEN;4712\n")
    code, out, _ = run("reconcile", "redeemed.csv", "--partner", "Puma", "--error-file", "errors.csv")
    assert code == Exit.FAULTS
    assert CODE not in out
    assert "NEVER-SEEN" in Path("errors.csv").read_text()


def test_stock_is_shown(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    found = from_json(run("stock", filled, "--json")[1])
    assert found["counts"]["distributed"] == 1
    assert found["per_day_28"] > 0
