"""What a refused upload leaves behind is cleared away, and what cannot be cleared away now is not the caller's."""

from __future__ import annotations

from typing import Never

import pytest

from partner_vouchers import Status, UploadStatus
from partner_vouchers.errors import CodesExhausted, NotEligible, StorageError, UnknownList
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host

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


def test_a_list_that_is_archived_meanwhile_says_so_in_the_upload_log(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        host.bring(found.id, Status.ARCHIVED)
        go_on.set()
        failure = running.result().failure
    assert failure is not None
    assert failure.message.startswith("the list was archived while the upload ran")


def test_a_list_that_is_deleted_meanwhile_is_named(host: Host) -> None:
    found = host.a_list()
    with host.a_running_upload(found.id, "A") as (go_on, running):
        host.vouchers.lists.delete(found.id)
        go_on.set()
        with pytest.raises(UnknownList) as refused:
            running.result()
    assert refused.value.list_id == found.id


def test_a_batch_is_refused_for_what_holds_of_the_first_user_without_a_code(
    storage: Storage, clock: FixedClock
) -> None:
    host = Host(storage, clock, eligibility={"gold": lambda context: context.get("tier") == "gold"})
    found = host.a_list("A")
    host.vouchers.campaigns.link(found.id, "CMP", eligibility="gold")
    gold, tin = {"tier": "gold"}, {"tier": "tin"}
    assign_many = host.vouchers.codes.assign_many
    with pytest.raises(CodesExhausted) as refused:
        assign_many(["ann", "bob"], campaign_id="CMP", contexts={"ann": gold, "bob": gold})
    assert (refused.value.campaign_id, refused.value.lists) == ("CMP", ((found.id, "exhausted"),))
    with pytest.raises(NotEligible):
        assign_many(["bob", "ann"], campaign_id="CMP", contexts={"ann": gold, "bob": tin})
