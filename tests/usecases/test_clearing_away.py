"""What a refused upload leaves behind is cleared away, and what cannot be cleared away now is not the caller's."""

from __future__ import annotations

from typing import Never

import pytest

from partner_vouchers import UploadStatus
from partner_vouchers.errors import StorageError
from tests.support.host import Host

pytestmark = pytest.mark.every_storage


def test_only_a_failed_upload_is_cleared_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    cleared = list[str]()
    monkeypatch.setattr(host.storage, "abandon", cleared.append)
    found = host.a_list()
    failed = host.upload(found.id, "no code")
    assert failed.status is UploadStatus.FAILED
    assert cleared == [failed.id]
    host.upload(found.id, "A")
    assert cleared == [failed.id]


def test_an_upload_has_ended_also_when_it_cannot_be_cleared_away(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.storage, "abandon", _fail)
    assert host.upload(host.a_list().id, "no code").status is UploadStatus.FAILED


def test_recovery_has_ended_also_when_no_space_can_be_freed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.storage, "reclaim", _fail)
    assert host.vouchers.uploads.recover() == []


def _fail(*_: object) -> Never:
    raise StorageError(reason="the disk is full")
