from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import Everywhere, PartnerVouchers, PerPartner, PerPartnerAndTag, RowFaultKind, Status
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import DuplicatePolicyMismatch
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host

EVERY_POLICY = [PerPartnerAndTag(), PerPartner(), Everywhere()]
IN_OTHER = RowFaultKind.DUPLICATE_IN_OTHER_LIST


# --- the table of the specification, word for word -----------------------------------------------------


# --- the three policies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy, same_partner, other_partner",
    [
        (PerPartnerAndTag(), None, None),
        (PerPartner(), IN_OTHER, None),
        (Everywhere(), IN_OTHER, IN_OTHER),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_policy_says_where_a_code_must_be_unique(
    storage: Storage, clock: FixedClock, policy: Any, same_partner: Any, other_partner: Any
) -> None:
    host = Host(storage, clock, duplicates=policy)
    first = host.a_list("A", "B", partner="Puma", tag="winter")
    for list_id, kind in (
        (first.id, RowFaultKind.DUPLICATE_IN_LIST),
        (host.a_list(partner="Puma", tag="summer").id, same_partner),
        (host.a_list(partner="Amazon", tag="winter").id, other_partner),
        (host.a_list(partner="Amazon", tag="summer").id, None if other_partner is None else IN_OTHER),
    ):
        explained = host.vouchers.uploads.explain_duplicate(list_id, " A ")
        checked = host.vouchers.uploads.validate(list_id, b"A\nNEW\n", filename="x.csv")
        assert checked.errors == ({} if kind is None else {kind: 1})
        if kind is None:
            assert explained is None
            continue
        assert explained is not None
        assert (explained.kind, explained.list_id, explained.policy) == (kind, first.id, policy.name)
        assert explained.message == checked.sample[0].message
        if kind is IN_OTHER:
            assert first.id in explained.message


@pytest.mark.parametrize("policy", EVERY_POLICY, ids=lambda policy: policy.name)
@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED])
def test_paused_and_expired_lists_count(
    storage: Storage, clock: FixedClock, policy: Any, status: Status
) -> None:
    host = Host(storage, clock, duplicates=policy)
    first = host.a_list("A", status=status)
    second = host.a_list()
    explained = host.vouchers.uploads.explain_duplicate(first.id, "A")
    assert explained is not None
    assert explained.kind is RowFaultKind.DUPLICATE_IN_LIST
    refused = 0 if isinstance(policy, PerPartnerAndTag) else 1
    assert host.upload(second.id, "A", "B").error_count == refused


@pytest.mark.parametrize("policy", EVERY_POLICY, ids=lambda policy: policy.name)
def test_archived_lists_do_not_count(storage: Storage, clock: FixedClock, policy: Any) -> None:
    host = Host(storage, clock, duplicates=policy)
    first = host.a_list("A", "B", tag="winter")
    host.vouchers.lists.archive(first.id)
    second = host.a_list(tag="winter")
    assert host.vouchers.uploads.explain_duplicate(second.id, "A") is None
    assert host.vouchers.uploads.validate(second.id, b"A\n", filename="x.csv").acceptable == 1
    assert host.upload(second.id, "A", "C").error_count == 0


@pytest.mark.parametrize("policy", EVERY_POLICY, ids=lambda policy: policy.name)
def test_withdrawn_codes_can_be_uploaded_again(storage: Storage, clock: FixedClock, policy: Any) -> None:
    host = Host(storage, clock, duplicates=policy)
    first, second = host.a_list(), host.a_list()
    wrong = host.upload(first.id, "A", "B", "C")
    host.give(first.id, "ann")
    host.vouchers.uploads.withdraw(wrong.id)
    assert host.vouchers.uploads.explain_duplicate(first.id, "B") is None
    # What somebody has is still held.
    assert host.vouchers.uploads.explain_duplicate(first.id, "A") is not None
    again = host.upload(second.id, "B")
    assert again.error_count == 0
    back = host.upload(first.id, "A", "B", "C")
    elsewhere = {} if isinstance(policy, PerPartnerAndTag) else {IN_OTHER: 1}
    assert back.errors == {RowFaultKind.DUPLICATE_IN_LIST: 1, **elsewhere}


def test_the_same_file_needs_no_force_once_it_was_withdrawn(host: Host) -> None:
    found = host.a_list()
    first = host.upload(found.id, "A", "B")
    host.vouchers.uploads.withdraw(first.id)
    assert host.upload(found.id, "A", "B").accepted == 2
    assert host.left(found.id) == ["A", "B"]


def test_a_code_that_was_taken_over_does_not_come_back_when_its_new_list_goes(host: Host) -> None:
    first = host.a_list("A", tag="winter")
    host.vouchers.lists.archive(first.id)
    host.vouchers.lists.archive(host.a_list("A", tag="winter").id)
    third = host.a_list(tag="winter")
    assert host.vouchers.uploads.explain_duplicate(third.id, "A") is None


class PerTag:
    """The policy of a host: a tag is a product, whoever's code it is."""

    name = "per tag"

    def scope(self, voucher_list: VoucherList) -> str:
        return voucher_list.tag


def test_a_host_can_write_its_own_policy(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, duplicates=PerTag())
    first = host.a_list("A", partner="Puma", tag="winter")
    second = host.a_list(partner="Amazon", tag="winter")
    explained = host.vouchers.uploads.explain_duplicate(second.id, "A")
    assert explained is not None
    assert (explained.policy, explained.list_id) == ("per tag", first.id)
    assert host.a_list("A", partner="Amazon", tag="summer").available == 1


# --- explain_duplicate -------------------------------------------------------------------------------------


def test_a_code_that_nobody_has_is_no_duplicate(host: Host) -> None:
    found = host.a_list("A")
    for code in ("B", "a", "", "A A"):
        assert host.vouchers.uploads.explain_duplicate(found.id, code) is None


def test_an_explanation_does_not_show_the_code(host: Host) -> None:
    found = host.a_list("TOPSECRET42")
    explained = host.vouchers.uploads.explain_duplicate(found.id, "TOPSECRET42")
    assert explained is not None
    assert "TOPSECRET42" not in repr(explained)


# --- the policy is remembered --------------------------------------------------------------------------------


def test_a_storage_remembers_its_policy(storage: Storage, clock: FixedClock) -> None:
    host = Host(storage, clock, duplicates=PerPartner())
    host.a_list("A")
    with host.nothing_changes():
        for given in (None, PerPartnerAndTag(), Everywhere(), PerTag()):
            with pytest.raises(DuplicatePolicyMismatch) as mismatch:
                PartnerVouchers(storage, duplicates=given).partners.all()
            assert (mismatch.value.code, mismatch.value.stored) == (
                "duplicate_policy_mismatch",
                "per partner",
            )
            assert mismatch.value.given == (given or PerPartnerAndTag()).name
    PartnerVouchers(storage, duplicates=PerPartner()).partners.get("Puma")


def test_the_default_policy_is_remembered_too(storage: Storage) -> None:
    PartnerVouchers(storage).check()
    other = PartnerVouchers(storage, duplicates=Everywhere())
    for call in (other.check, other.partners.all, lambda: other.partners.add("Puma"), other.check):
        with pytest.raises(DuplicatePolicyMismatch, match="'per partner and tag', not 'everywhere'"):
            call()
    assert PartnerVouchers(storage).partners.all() == []


def test_a_file_remembers_its_policy_when_it_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        storage = SQLiteStorage(tmp_path / "vouchers.db")
        PartnerVouchers(storage, duplicates=Everywhere()).check()
        storage.close()
    storage = SQLiteStorage(tmp_path / "vouchers.db")
    with pytest.raises(DuplicatePolicyMismatch):
        PartnerVouchers(storage).check()
    storage.close()
