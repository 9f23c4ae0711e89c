from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from partner_vouchers import ListView, PartnerVouchers, PercentUsed, Status
from partner_vouchers.domain.events import ListArchived, ListDeleted
from partner_vouchers.domain.lifecycle import STATUS_TABLE, Action
from partner_vouchers.errors import (
    ActionNotAllowed,
    ExpiryNotInFuture,
    InvalidInput,
    InvalidTag,
    ListDistributed,
    ListLinked,
    StaleVersion,
    StorageBusy,
    TagTaken,
    UnknownList,
    UnknownPartner,
    UnknownUpload,
)
from tests.support.host import EXPIRY, MICROSECOND, START, Host

NAIVE = datetime(2027, 3, 31, 23, 59, 59)  # noqa: DTZ001 - the point of it
NO_IDS = ["", "7", "01", "9" * 40, "1; DROP TABLE pv_lists"]


@pytest.fixture
def puma(vouchers: PartnerVouchers) -> str:
    return vouchers.partners.add("Puma").name


def create(vouchers: PartnerVouchers, **changed: Any) -> ListView:
    described = {"partner": "Puma", "tag": "winter", "name": "Winter Sale", "expires_at": EXPIRY}
    return vouchers.lists.create(**{**described, **changed})


# --- create ------------------------------------------------------------------------------------------


def test_a_new_list_is_active_and_empty(vouchers: PartnerVouchers, puma: str) -> None:
    created = vouchers.lists.create(
        partner=puma,
        tag="Winter_Sale_500",
        name="Winter Sale",
        description="₹500 off on orders above ₹2000",
        expires_at=EXPIRY,
    )
    assert (created.partner, created.tag, created.name) == ("Puma", "winter_sale_500", "Winter Sale")
    assert created.description == "₹500 off on orders above ₹2000"
    assert created.status is Status.ACTIVE
    assert (created.uploaded, created.distributed, created.available, created.campaigns) == (0, 0, 0, 0)
    assert (created.expires_at, created.low_stock_at, created.version) == (EXPIRY, None, 1)
    assert (created.created_at, created.updated_at) == (START, START)
    assert isinstance(created.id, str)
    assert vouchers.lists.get(created.id) == created


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED, Status.EXPIRED])
def test_a_tag_is_unique_within_the_partner(host: Host, status: Status) -> None:
    taken = host.a_list(tag="winter", status=status)
    with host.nothing_changes(), pytest.raises(TagTaken) as refused:
        create(host.vouchers, tag="WINTER")
    assert refused.value.code == "tag_taken"
    assert (refused.value.partner, refused.value.tag, refused.value.list_id) == ("Puma", "winter", taken.id)


def test_a_list_needs_an_existing_partner(host: Host, puma: str) -> None:
    with host.nothing_changes(), pytest.raises(UnknownPartner) as unknown:
        create(host.vouchers, partner="puma")
    assert unknown.value.name == "puma"


def test_a_list_and_its_new_partner_are_created_together_or_not_at_all(host: Host, puma: str) -> None:
    host.a_list(tag="winter")
    with host.nothing_changes(), pytest.raises(InvalidTag):
        create(host.vouchers, partner="Nike", tag="two words", add_partner=True)
    with host.nothing_changes(), pytest.raises(TagTaken):
        create(host.vouchers, partner=puma, tag="winter", add_partner=True)
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        create(host.vouchers, partner="Nike", add_partner="yes")
    assert refused.value.field == "add_partner"
    assert create(host.vouchers, partner="Nike", add_partner=True, actor="ops").partner == "Nike"
    assert [each.name for each in host.vouchers.partners.all()] == ["Nike", puma]
    assert [each.event.event_name for each in host.vouchers.audit.entries(actor="ops").items] == [
        "partner.added",
        "list.created",
    ]


# --- get ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("list_id", NO_IDS)
def test_every_call_on_an_unknown_list_says_so(host: Host, list_id: str) -> None:
    known = host.a_list("A")
    lists, uploads, codes = host.vouchers.lists, host.vouchers.uploads, host.vouchers.codes
    campaigns = host.vouchers.campaigns
    calls: list[Callable[[], object]] = [
        lambda: lists.get(list_id),
        lambda: lists.edit(list_id, name="x"),
        lambda: lists.pause(list_id),
        lambda: lists.activate(list_id),
        lambda: lists.archive(list_id),
        lambda: lists.delete(list_id),
        lambda: uploads.add(list_id, b"B\n", filename="codes.csv", uploaded_by="ops"),
        lambda: uploads.validate(list_id, b"B\n", filename="codes.csv"),
        lambda: uploads.find(list_id=list_id),
        lambda: uploads.explain_duplicate(list_id, "A"),
        lambda: campaigns.link(list_id, "CMP"),
        lambda: campaigns.unlink(list_id, "CMP"),
        lambda: campaigns.of_list(list_id),
        lambda: codes.assignments(list_id),
        lambda: codes.export(list_id),
        lambda: codes.export(list_id, remaining=True),
    ]
    if list_id.strip():
        calls.append(lambda: codes.assign(list_id=list_id, user_id="u"))
        calls.append(lambda: codes.assign_many(["u"], list_id=list_id))
    assert list_id != known.id
    with host.nothing_changes():
        for call in calls:
            with pytest.raises(UnknownList) as unknown:
                call()
            assert (unknown.value.code, unknown.value.list_id) == ("unknown_list", list_id)
        assert host.vouchers.audit.entries(list_id=list_id).items == ()


# --- status and actions ------------------------------------------------------------------------------


def do(host: Host, action: Action, list_id: str) -> object:
    lists = host.vouchers.lists
    match action:
        case Action.PAUSE:
            return lists.pause(list_id)
        case Action.ACTIVATE:
            return lists.activate(list_id)
        case Action.EDIT:
            return lists.edit(list_id, name="Spring Sale", expires_at=host.clock.now + timedelta(days=1))
        case Action.UPLOAD:
            return host.upload(list_id, "NEW")
        case Action.ARCHIVE:
            return lists.archive(list_id)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("rule", STATUS_TABLE, ids=lambda rule: str(rule.status))
def test_a_status_allows_what_the_table_says(host: Host, rule: Any, action: Action) -> None:
    found = host.a_list("A", "B", status=rule.status)
    assert (found.status, found.allowed) == (rule.status, rule.allowed)
    if action in rule.allowed:
        do(host, action, found.id)
        return
    with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
        do(host, action, found.id)
    error = refused.value
    assert (error.code, error.list_id) == ("action_not_allowed", found.id)
    assert (error.status, error.action, error.allowed) == (rule.status, action, rule.allowed)


# --- edit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda lists, list_id, version: lists.edit(list_id, name="x", version=version),
        lambda lists, list_id, version: lists.pause(list_id, version=version),
        lambda lists, list_id, version: lists.activate(list_id, version=version),
        lambda lists, list_id, version: lists.archive(list_id, version=version),
        lambda lists, list_id, version: lists.delete(list_id, version=version),
    ],
    ids=["edit", "pause", "activate", "archive", "delete"],
)
@pytest.mark.parametrize("version", [1, 3])
def test_a_change_of_something_that_was_changed_since_is_refused(
    host: Host, change: Callable[..., object], version: int
) -> None:
    found = host.a_list()
    host.vouchers.lists.edit(found.id, name="Somebody else was quicker")
    with host.nothing_changes(), pytest.raises(StaleVersion) as stale:
        change(host.vouchers.lists, found.id, version)
    assert (stale.value.code, stale.value.list_id) == ("stale_version", found.id)
    assert (stale.value.expected, stale.value.actual) == (version, 2)


def test_what_happens_to_the_codes_does_not_make_an_edit_stale(host: Host) -> None:
    found = host.a_list()
    host.upload(found.id, "A", "B")
    host.give(found.id, "ann")
    assert host.vouchers.lists.edit(found.id, name="Spring Sale", version=found.version).version == 2


# --- updated_at and counts ---------------------------------------------------------------------------


def test_an_upload_updates_a_list_and_an_assignment_does_not(host: Host) -> None:
    found = host.a_list()
    host.clock.advance(hours=1)
    host.upload(found.id, "A", "B")
    uploaded_at = host.clock.now
    host.clock.advance(hours=1)
    host.give(found.id, "ann")
    seen = host.vouchers.lists.get(found.id)
    assert (seen.updated_at, seen.created_at) == (uploaded_at, START)


# --- archive and delete ------------------------------------------------------------------------------


def test_archiving_says_which_campaigns_are_linked(host: Host) -> None:
    found = host.a_list("A", campaign="CMP2")
    host.vouchers.campaigns.link(found.id, "CMP1")
    archived = host.vouchers.lists.archive(found.id)
    assert (archived.status, archived.campaign_ids, archived.campaigns) == (
        Status.ARCHIVED,
        ("CMP1", "CMP2"),
        2,
    )
    assert len(host.events(ListArchived)) == 1


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED, Status.EXPIRED])
def test_a_list_that_nobody_had_a_code_of_can_be_deleted(host: Host, status: Status) -> None:
    found = host.a_list("A", "B", status=status)
    (upload,) = host.vouchers.uploads.find(list_id=found.id)
    host.vouchers.lists.delete(found.id, actor="ops")
    with pytest.raises(UnknownList):
        host.vouchers.lists.get(found.id)
    with pytest.raises(UnknownUpload):
        host.vouchers.uploads.get(upload.id)
    assert len(host.vouchers.lists.find()) == 0
    (event,) = host.events(ListDeleted)
    assert {change.field: change.before for change in event.changes}["tag"] == found.tag


def test_an_archived_list_is_kept_for_the_record(host: Host) -> None:
    found = host.a_list(status=Status.ARCHIVED)
    with host.nothing_changes(), pytest.raises(ActionNotAllowed) as refused:
        host.vouchers.lists.delete(found.id)
    assert (refused.value.status, refused.value.action, refused.value.allowed) == ("Archived", "delete", ())
    assert "allowed: none" in str(refused.value)


def test_a_list_is_deleted_also_where_its_space_cannot_be_freed_now(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list("A")

    def busy(_seconds: float) -> None:
        raise StorageBusy(reason="locked")

    monkeypatch.setattr(host.storage, "reclaim", busy)
    host.vouchers.lists.delete(found.id)
    with pytest.raises(UnknownList):
        host.vouchers.lists.get(found.id)


def test_a_linked_list_is_not_deleted(host: Host) -> None:
    found = host.a_list("A", campaign="CMP1")
    host.vouchers.campaigns.link(found.id, "CMP2")
    with host.nothing_changes(), pytest.raises(ListLinked) as refused:
        host.vouchers.lists.delete(found.id)
    assert (refused.value.code, refused.value.campaign_ids) == ("list_linked", ("CMP1", "CMP2"))
    for campaign in refused.value.campaign_ids:
        host.vouchers.campaigns.unlink(found.id, campaign)
    host.vouchers.lists.delete(found.id)


def test_a_list_that_somebody_has_a_code_of_is_not_deleted(host: Host) -> None:
    found = host.a_list("A", "B")
    host.give(found.id, "ann")
    with host.nothing_changes(), pytest.raises(ListDistributed) as refused:
        host.vouchers.lists.delete(found.id)
    assert (refused.value.code, refused.value.distributed) == ("list_distributed", 1)
    assert host.vouchers.lists.archive(found.id).distributed == 1


# --- ensure ------------------------------------------------------------------------------------------------------


def ensure(vouchers: PartnerVouchers, **changed: Any) -> ListView:
    return vouchers.lists.ensure(
        **{"partner": "Puma", "tag": "Winter", "name": "Winter Sale", "expires_at": EXPIRY, **changed}
    )


def test_a_list_that_is_ensured_is_created_once_with_its_partner(host: Host) -> None:
    first = ensure(host.vouchers, description="₹500 off", low_stock_at=3, actor="deploy")
    assert (first.partner, first.tag, first.name, first.status) == (
        "Puma",
        "winter",
        "Winter Sale",
        Status.ACTIVE,
    )
    assert [(entry.event.event_name, entry.actor) for entry in host.vouchers.audit.entries()] == [
        ("partner.added", "deploy"),
        ("list.created", "deploy"),
    ]
    with host.nothing_changes():
        # What exists is returned as it is.
        assert ensure(host.vouchers, tag="WINTER", name="Another", low_stock_at=None).name == "Winter Sale"
    assert ensure(host.vouchers, partner="puma").id != first.id


def test_a_deployment_script_goes_on_working_after_the_expiry(host: Host) -> None:
    first = ensure(host.vouchers)
    host.clock.now = EXPIRY + MICROSECOND
    with host.nothing_changes():
        found = ensure(host.vouchers)
    assert (found.id, found.status) == (first.id, Status.EXPIRED)
    host.vouchers.lists.archive(first.id)
    with host.nothing_changes(), pytest.raises(ExpiryNotInFuture):
        ensure(host.vouchers)
    assert ensure(host.vouchers, expires_at=EXPIRY + timedelta(days=365)).id != first.id


@pytest.mark.parametrize("call", ["create", "ensure", "ensure what exists"])
@pytest.mark.parametrize(
    "field, value",
    [
        ("tag", "winter sale"),
        ("name", ""),
        ("description", "a\0b"),
        ("expires_at", NAIVE),
        ("zone", UTC),
        ("low_stock_at", PercentUsed(101)),
        ("expiring_soon", timedelta(0)),
        ("expiring_soon", timedelta(days=3651)),
        ("partner", "a\nb"),
        ("actor", ""),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_by_its_name(
    host: Host, puma: str, call: str, field: str, value: Any
) -> None:
    if call == "ensure what exists":
        ensure(host.vouchers)
    with host.nothing_changes(), pytest.raises(InvalidInput) as refused:
        (create if call == "create" else ensure)(host.vouchers, **{field: value})
    assert refused.value.field == field


def test_lists_are_found_by_their_tag(host: Host) -> None:
    old = host.a_list(tag="winter", status=Status.ARCHIVED)
    new = host.a_list(tag="winter")
    other = host.a_list(tag="winter", partner="Amazon")
    host.a_list(tag="winter_2")
    find = host.vouchers.lists.find
    assert {each.id for each in find(tag="WINTER")} == {old.id, new.id, other.id}
    assert [each.id for each in find(tag="winter", partner="Puma", status="Active")] == [new.id]
    assert find(tag="winter sale").items == find(tag="nobody").items == ()


# --- what an edit does not change -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED, Status.EXPIRED])
def test_a_form_can_be_saved_as_it_is(host: Host, status: Status) -> None:
    found = host.a_list(status=status, low_stock_at=PercentUsed(80))
    form: dict[str, Any] = {
        "name": found.name,
        "description": found.description,
        "expires_at": found.expires_at.astimezone(ZoneInfo("Asia/Kolkata")),
        "low_stock_at": PercentUsed(80),
    }
    with host.nothing_changes():
        assert host.vouchers.lists.edit(found.id, **form).version == found.version
    renamed = host.vouchers.lists.edit(found.id, **{**form, "name": "Renamed"})
    assert (renamed.name, renamed.status, renamed.expires_at) == ("Renamed", status, found.expires_at)


def test_a_value_that_only_looks_equal_is_checked(host: Host) -> None:
    found = host.a_list(low_stock_at=1)
    with host.nothing_changes(), pytest.raises(InvalidInput):
        host.vouchers.lists.edit(found.id, low_stock_at=True)
