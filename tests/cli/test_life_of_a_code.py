from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from partner_vouchers.cli.context import Exit
from tests.support.command import CODE, Run


def test_limits_are_set_shown_and_removed(run: Run, filled: str) -> None:
    run("link", filled, "CMP1", "--repeat", "new code")
    assert run("limits", "CMP1")[1] == "The campaign has no limits.\n"
    code, out, _ = run(
        "limits", "CMP1", "--set", "1/user", "--set", "5/campaign/month/Asia/Kolkata", "--json"
    )
    assert code == Exit.OK
    assert [usage["limit"]["count"] for usage in json.loads(out)] == [1, 5]
    assert run("assign", "--user", "user-42", "--campaign", "CMP1")[0] == Exit.OK
    code, _, err = run("assign", "--user", "user-42", "--campaign", "CMP1")
    assert code == Exit.NO_CODE
    assert "1 codes per user" in err
    (per_user, _) = json.loads(run("limits", "CMP1", "--user", "user-42", "--json")[1])
    assert (per_user["used"], per_user["left"]) == (1, 0)
    assert run("limits", "CMP1", "--clear", "--set", "1/user")[0] == Exit.USAGE
    assert run("limits", "CMP1", "--clear")[0] == Exit.OK
    assert run("assign", "--user", "user-42", "--campaign", "CMP1")[0] == Exit.OK


def test_a_limit_is_written_as_it_is_shown(run: Run, filled: str) -> None:
    for wrong in ("many/user", "1", "1/list", "1/user/year/UTC", "1/user/day", "0/user"):
        assert run("limits", "CMP1", "--set", wrong)[0] == Exit.USAGE, wrong


def test_a_code_is_reserved_confirmed_and_released(run: Run, filled: str) -> None:
    code, out, _ = run("reserve", "--user", "asha", "--list", filled, "--minutes", "15", "--json")
    assert code == Exit.OK
    first = json.loads(out)
    assert CODE not in out
    assert run("confirm", first["id"])[0] == Exit.OK
    assert run("release", first["id"])[0] == Exit.REFUSED
    second = json.loads(run("reserve", "--user", "ravi", "--list", filled, "--minutes", "15", "--json")[1])
    assert run("release", second["id"])[0] == Exit.OK
    assert run("confirm", second["id"])[0] == Exit.REFUSED
    assert run("confirm", "unknown")[0] == Exit.REFUSED
    assert run("reserve", "--user", "ravi", "--list", filled, "--minutes", "0")[0] == Exit.USAGE


def test_a_code_is_revoked(run: Run, filled: str) -> None:
    given = json.loads(run("assign", "--user", "asha", "--list", filled, "--json")[1])
    assert run("revoke", given["id"])[0] == Exit.USAGE
    assert run("revoke", given["id"], "--restock", "--yes")[0] == Exit.REFUSED
    assert run("revoke", given["id"], "--reason", "refunded", "--yes")[1] == "Revoked; the code is retired.\n"
    assert json.loads(run("show", filled, "--json")[1])["retired"] == 1
    assert run("revoke", "99", "--yes")[0] == Exit.REFUSED


def test_a_redemption_is_recorded_and_reverted(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    first = json.loads(run("redeem", CODE, "--order", "4711", "--amount", "9.90", "--json")[1])
    assert run("redeem", CODE, "--order", "4712")[0] == Exit.REFUSED
    assert run("redeem", CODE, "--order", "4711", "--revert", "--user", "ravi")[0] == Exit.USAGE
    assert run("redeem", CODE, "--order", "4711", "--revert")[0] == Exit.OK
    assert run("redeem", CODE, "--order", "4713", "--amount", "cheap")[0] == Exit.USAGE
    today = datetime.fromisoformat(first["recorded_at"]).date()
    assert run("redeem", CODE, "--order", "4714", "--at", f"{today + timedelta(days=2)}")[0] == Exit.USAGE


def test_a_date_without_a_time_means_the_same_at_the_command_line_and_in_a_file(
    run: Run, filled: str
) -> None:
    run("create", "--partner", "Nike", "--tag", "spring", "--expires", "2199-03-31")
    Path("nike.csv").write_text("NIKE-0001\n")
    run("upload", "2", "nike.csv")
    for list_id in (filled, "2"):
        run("assign", "--user", "asha", "--list", list_id)
    zone = ("--zone", "Asia/Kolkata")
    run("redeem", CODE, "--order", "4711", "--at", "2026-01-02", *zone)
    Path("redeemed.csv").write_text("code,redeemed_at\nNIKE-0001,2026-01-02\n")
    assert run("reconcile", "redeemed.csv", "--partner", "Nike", *zone)[0] == Exit.OK
    used = [each["redeemed_at"] for each in json.loads(run("user", "asha", "--json")[1])]
    assert used == ["2026-01-01T18:30:00Z"] * 2


def test_a_partners_file_that_is_refused_as_a_whole_has_the_exit_code_of_faults(
    run: Run, winter: str
) -> None:
    Path("redeemed.csv").write_text("order\n4711\n")
    code, _, err = run("reconcile", "redeemed.csv", "--partner", "Puma")
    assert (code, "nothing was recorded" in err) == (Exit.FAULTS, True)


def test_a_partners_file_is_reconciled(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    Path("redeemed.csv").write_text(f"Coupon Code;Order ID\n{CODE};4711\nNEVER-SEEN;4712\n")
    code, out, _ = run("reconcile", "redeemed.csv", "--partner", "Puma", "--error-file", "errors.csv")
    assert code == Exit.FAULTS
    assert CODE not in out
    assert "NEVER-SEEN" in Path("errors.csv").read_text()
    assert "redeemed-errors.csv" in run("reconcile", "redeemed.csv", "--partner", "Puma")[2]
    assert Path("redeemed-errors.csv").read_text() == Path("errors.csv").read_text()
    Path("known.csv").write_text(f"Coupon Code;Order ID\n{CODE};4711\n")
    assert run("reconcile", "known.csv", "--partner", "Puma")[0] == Exit.OK
    assert not Path("known-errors.csv").exists()


def test_a_user_is_erased(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    assert run("forget-user", "asha")[0] == Exit.USAGE
    assert run("events", "deliver", "--jsonl", "events.jsonl")[0] == Exit.OK
    code, out, _ = run("forget-user", "asha", "--yes")
    assert code == Exit.OK
    facts = [line.split() for line in out.splitlines()]
    assert ["Assignments", "1"] in facts
    assert out.endswith("Erase the user at these sinks, too.\n")
    assert run("user", "asha")[1] == "No voucher was found.\n"


def test_stock_is_shown(run: Run, filled: str) -> None:
    run("assign", "--user", "asha", "--list", filled)
    found = json.loads(run("stock", filled, "--json")[1])
    assert found["counts"]["distributed"] == 1
    assert found["per_day_28"] > 0


def test_what_assign_would_do_is_said_and_nothing_is_changed(run: Run, filled: str) -> None:
    run("link", filled, "CMP1")
    asha = ("assign", "--user", "asha", "--campaign", "CMP1")
    assert run(*asha, "--preview")[:2] == (Exit.OK, "asha would get a code of list 1.\n")
    assert json.loads(run(*asha, "--preview", "--json")[1])["list_id"] == filled
    assert json.loads(run("show", filled, "--json")[1])["distributed"] == 0

    run("reserve", "--user", "ravi", "--campaign", "CMP1", "--minutes", "15")
    ravi = ("assign", "--user", "ravi", "--campaign", "CMP1", "--preview")
    assert "would get the reserved code of list 1" in run(*ravi)[1]

    run(*asha)
    assert "asha has a code of list 1" in run(*asha, "--preview")[1]
    code, out, _ = run("assign", "--user", "meera", "--campaign", "CMP1", "--preview")
    assert (code, out) == (
        Exit.NO_CODE,
        "meera would get nothing: no code is left (list 1: exhausted); upload more codes to one of these lists\n",
    )
    refused = run("assign", "--user", "asha", "--campaign", "CMP9", "--preview", "--json")
    assert (refused[0], json.loads(refused[1])["refusal"]["error"]) == (Exit.REFUSED, "campaign_not_linked")
