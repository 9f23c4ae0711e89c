"""The command that measures a storage: it takes what a host names, and says what it cannot load."""

from __future__ import annotations

import pytest

from partner_vouchers.testing import bench


def test_a_contract_a_function_and_our_own_storages_are_measured_beside_bare_sqlite(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = "tests.adapters.sqlite.test_contract:TestSQLiteStorage"

    bench.main(["memory", mine, "--rounds", "1", "--calls", "2"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["floor", "memory", "TestSQLiteStorage"]
    rows = {
        line[:32].strip(): [float(each.replace(",", "")) for each in line[32:].split()] for line in lines[2:]
    }
    assert {"upload, a code", "assign", "deliver, an event"} <= set(rows)
    assert all(len(times) == 3 and min(times) > 0 for times in rows.values())


@pytest.mark.parametrize(
    "named", ["nowhere:Storage", f"{__name__}:absent", f"{__name__}", "", f"{__name__}:pytest"]
)
def test_what_is_no_storage_is_named_with_what_can_be_written(named: str) -> None:
    with pytest.raises(SystemExit, match="write module:name, memory or sqlite"):
        bench.new_storage_from(named)
