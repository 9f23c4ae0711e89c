"""An upload that fails leaves nothing on its connection that is in the way of the next one."""

from __future__ import annotations

import pytest

from partner_vouchers.errors import StorageError
from tests.support.host import Host
from tests.support.postgres import a_trigger


@pytest.mark.parametrize("table", ["pv_codes", "pv_upload_faults"])
def test_the_next_upload_finds_its_connection_clean(host: Host, schema: str, table: str) -> None:
    found = host.a_list()
    with a_trigger(schema, table, "53100"), pytest.raises(StorageError):
        # The table of refused rows is made by the transaction that fails.
        host.upload(found.id, "A", "B", "B")
    host.vouchers.uploads.recover()
    assert host.upload(found.id, "C", "A").accepted == 2


def test_a_connection_that_could_not_be_cleared_is_not_used_again(
    host: Host, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list()
    with monkeypatch.context() as patched:
        patched.setattr("partner_vouchers.adapters.postgres.staging.Staging.drop", _fail)
        assert host.upload(found.id, "A").accepted == 1
    assert host.upload(found.id, "B").accepted == 1


def _fail(*_: object) -> None:
    raise StorageError(reason="the server has no disk left")
