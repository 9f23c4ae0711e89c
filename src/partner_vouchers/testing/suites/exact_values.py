"""Values come back exactly as they were stored, and strings that look alike are told apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.delivery import Deferred, DeliveryState, Pause, SinkProgress
from partner_vouchers.domain.duplicates import Holder, counts_for_duplicates
from partner_vouchers.domain.events import FieldChange, ListPaused
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.promo_events import PointsDebited
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.uploads import (
    FileFault,
    FileFaultKind,
    RowFault,
    RowFaultKind,
    Upload,
    UploadStatus,
    WarningKind,
)
from partner_vouchers.ports import Holding, Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, needs, require_ability
from partner_vouchers.testing.suites.reservations import reserve

MICROSECOND = timedelta(microseconds=1)

END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Too far away for a floating-point number of seconds to tell it from the microsecond before."""

ALIKE = [
    "Zo\u00eb",
    "Zoe\u0308",
    "zo\u00eb",
    "ZO\u00cb",
    "Zoe",
    "Zo\u00eb ",
    " Zo\u00eb",
    "Zo\u00eb\u00a0",
    "Stra\u00dfe",
    "strasse",
    "\ufb01sh",
    "fish",
    "\u0130",
    "i\u0307",
    "\U0001f600",
    "\U0001f601",
    "a\U0001f600",
    "a",
    "7",
    "07",
    "7.0",
    "%",
    "_",
    "'",
    "''",
    "\\",
    "\\\\",
    "null",
    "x" * 254,
    "x" * 255,
    "x" * 254 + "X",
    "\U00010400" * 254 + "y",
    "\U00010400" * 255,
]
"""Names that a storage confuses if it trims, folds, normalises or cuts strings, or takes some for something else."""

TAGS = [name for name in ALIKE if name == name.lower() and not any(map(str.isspace, name))]
"""Those that can be tags."""

CODES = list(dict.fromkeys(name[-128:] for name in ALIKE))
"""The same, as codes: a host's own format may allow any of them."""

MANY = 1_100
"""More than a storage might return at once if it had a limit of its own."""


Value = Callable[[str, int], Any]
Put = Callable[[Transaction, str, Any], object]
Get = Callable[[Transaction, str], object]


def _link(list_id: str, name: str, index: int) -> CampaignLink:
    at = START + index * MICROSECOND
    return evolve(driver.a_link(list_id, name), linked_at=at, eligibility=ALIKE[-index])


def _points(name: str, index: int) -> PointsDebited:
    return PointsDebited(
        occurred_at=END_OF_TIME - index * MICROSECOND,
        user_id=name,
        wallet_id=name,
        source="API",
        points=index + 0.1,
        transaction_id=name,
    )


def _change(name: str, index: int) -> ListPaused:
    changes = (FieldChange(name[:50], f" {name}\n", index / 3),)
    return ListPaused(occurred_at=START + index * MICROSECOND, list_id="7", changes=changes)


NAMED: dict[str, tuple[Value, Put, Get]] = {
    "partners": (
        lambda name, index: Partner(name, START + index * MICROSECOND),
        lambda tx, name, partner: tx.partners.add(partner),
        lambda tx, name: tx.partners.get(name),
    ),
    "idempotency_keys": (
        lambda name, index: (f" {name} ", ("3", "1", "2", "1", str(index))),
        lambda tx, name, value: tx.keys.put(name, *value),
        lambda tx, name: tx.keys.get(name),
    ),
    "settings": (
        lambda name, index: f" {name}\n" if index else "",
        lambda tx, name, value: tx.settings.put(name, value),
        lambda tx, name: tx.settings.get(name),
    ),
    "leases": (
        lambda name, index: [name],
        lambda tx, name, owners: tx.leases.take(name, owners[0], START, START + MICROSECOND),
        lambda tx, name: [other for other in ALIKE if tx.leases.held(name, other)],
    ),
    "actors": (
        lambda name, index: [_change(name, index)],
        lambda tx, name, changes: tx.audit.append(name, changes),
        lambda tx, name: [each.event for each in tx.audit.entries(None, name, 0, driver.ALL)],
    ),
    "sinks": (
        lambda name, index: SinkProgress(index + 1, pause=Pause(1, START + index * MICROSECOND)),
        lambda tx, name, progress: tx.deliveries.save_progress(name, progress),
        lambda tx, name: tx.deliveries.progress(name),
    ),
    "limits": (
        lambda name, index: ((Limit(index + 1, per="campaign"),), {"": index}),
        lambda tx, name, limits: tx.limits.replace(name, *limits),
        lambda tx, name: (tx.limits.get(name), tx.limits.counts(name, [""])),
    ),
    "refusals": (
        lambda name, index: [RefusalCount(START.date(), RefusalReason.EXHAUSTED, None, index + 1)],
        lambda tx, name, counts: tx.refusals.add(name, counts),
        lambda tx, name: tx.refusals.of_campaign(name, None, None),
    ),
}
"""Kinds of rows that have a name: the value of a name, how it is stored, and how it is read."""

REPLACED = ("settings", "sinks", "limits")
"""Those of which the value that was stored last counts."""


class ExactValueSuite(StorageHooks):
    """Strings and instants come back from each port as they were stored."""

    @pytest.mark.parametrize("kind", NAMED)
    def test_names_that_look_alike_are_told_apart(self, storage: Storage, kind: str) -> None:
        if kind in ("limits", "refusals"):
            require_ability(storage, kind)
        value, put, get = NAMED[kind]
        values = {name: value(name, index) for index, name in enumerate(ALIKE)}
        with driver.committing(storage) as tx:
            for name in ALIKE:
                if kind in REPLACED:
                    put(tx, name, values[ALIKE[0]])
                put(tx, name, values[name])
        with storage.begin(write=False) as tx:
            assert {name: get(tx, name) for name in ALIKE} == values

    def test_partners_and_sinks_are_ordered_by_code_points(self, storage: Storage) -> None:
        names = ["a", "Z", "é", "e\u0301", "ß", "\uffee", "\U0001f600", "10", "9", "a b", "ab", "A"]
        with driver.committing(storage) as tx:
            for name in names:
                assert tx.partners.add(Partner(name, START))
                assert not tx.partners.add(Partner(name, FAR))
                tx.deliveries.save_progress(name, SinkProgress(1))
        with storage.begin(write=False) as tx:
            assert tx.partners.all() == [Partner(name, START) for name in sorted(names)]
            assert tx.deliveries.sinks() == sorted(names)

    def test_campaigns_and_users_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(2 * len(ALIKE)))
        links = [_link(list_id, name, index) for index, name in enumerate(ALIKE)]
        with driver.committing(storage) as tx:
            for link in links:
                tx.campaigns.put(link)
            of_campaigns, of_users = (
                [
                    driver.take(tx, list_id, [user], campaign_id=campaign, now=START + index * MICROSECOND)[0]
                    for index, (user, campaign) in enumerate(asked)
                ]
                for asked in ([("user-1", name) for name in ALIKE], [(name, None) for name in ALIKE])
            )
            tx.assignments.add([*of_campaigns, *of_users])
        with storage.begin(write=False) as tx:
            assert [tx.campaigns.get(list_id, name) for name in ALIKE] == links
            assert tx.campaigns.of_list(list_id) == sorted(links, key=lambda link: link.campaign_id)
            assert tx.campaigns.ids(None, driver.ALL) == sorted(ALIKE)
            found = [[link for link, _ in tx.campaigns.of_campaign(name)] for name in ALIKE]
            assert found == [[link] for link in links]
            assert [tx.assignments.holding("user-1", name, None).held for name in ALIKE] == of_campaigns
            assert [tx.assignments.of_user(user) for user in ALIKE] == [[each] for each in of_users]
            holdings = tx.assignments.holdings(ALIKE, None, list_id)
            assert {user: each.held for user, each in holdings.items()} == dict(
                zip(ALIKE, of_users, strict=True)
            )
        assert driver.rewards(storage) == [each.event for each in [*of_campaigns, *of_users]]

    def test_codes_and_scopes_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        # A host's own rules for codes may allow any of them.
        with driver.importing(storage, entry, CODES) as opened:
            driver.claim(opened, list_id)
            assert driver.publish(storage, opened) == len(CODES)
        assert driver.remaining(storage, list_id) == CODES
        scope = driver.stored(storage, list_id).scope
        others = [driver.a_list_in(storage, name, tag=f"t{index}") for index, name in enumerate(ALIKE)]
        for each in others:
            assert driver.upload(storage, each, ["only"]).accepted == 1
        with driver.committing(storage) as tx:
            held = [tx.codes.holder(scope, code, counts_for_duplicates) for code in CODES]
            assert held == [Holder(list_id)] * len(CODES)
            found = [tx.codes.holder(name, "only", counts_for_duplicates) for name in ALIKE]
            assert found == [Holder(each) for each in others]
            given = driver.take(tx, list_id, [f"user-{index}" for index in range(len(CODES))])
            tx.assignments.add(given)
            assert driver.codes_of(given) == CODES
            assert [tx.assignments.of_code(code) for code in CODES] == [[each] for each in given]
        again = driver.enter_upload(storage, list_id)
        with driver.importing(storage, again, [*CODES, "new"]) as opened:
            driver.claim(opened, list_id)
            assert opened.refused == {RowFaultKind.DUPLICATE_IN_LIST: len(CODES)}

    def test_events_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        events = [make(name, index) for make in (_points, _change) for index, name in enumerate(ALIKE)]
        driver.in_transaction(storage, lambda tx: tx.outbox.append(events))
        assert [entry.event for entry in driver.outbox(storage)] == events

    def test_lists_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        owners = [(partner, "winter") for partner in ALIKE] + [("Puma", tag) for tag in TAGS]
        lists = []
        with driver.committing(storage) as tx:
            for index, (partner, tag) in enumerate(owners):
                text = ALIKE[index % len(ALIKE)]
                made = evolve(
                    driver.unstored_list(tx, partner=partner, tag=tag),
                    name=text,
                    description=f" {text}\r\n\t" * 30,
                    scope=f"{tag} {partner}",
                    expires_at=END_OF_TIME - index * MICROSECOND,
                    created_at=START + index * MICROSECOND,
                    updated_at=FAR - index * MICROSECOND,
                )
                tx.lists.add(made)
                lists.append(made)
        with driver.committing(storage) as tx:
            assert [tx.lists.get(each.id) for each in lists] == lists
            assert [tx.lists.with_tag(*owner) for owner in owners] == lists
            expiries = {each.id: each.expires_at for each in lists}
            assert tx.lists.expiries(list(expiries)) == expiries
            for index, each in enumerate(lists):
                asked: dict[str, Any] = {"partner": each.partner} if index < len(ALIKE) else {"tag": each.tag}
                assert tx.lists.find(evolve(driver.all_lists(), **asked)) == [each]
            lists = [evolve(each, name=f"{each.name[:250]} ", version=2) for each in lists]
            for each in lists:
                tx.lists.save(each)
        assert [driver.stored(storage, each.id) for each in lists] == lists

    def test_uploads_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        begun = []
        with driver.committing(storage) as tx:
            for index, name in enumerate(ALIKE):
                upload = Upload(
                    id=tx.uploads.new_id(),
                    list_id=list_id,
                    uploaded_by=name,
                    filename=f"{name[:250]}.csv",
                    started_at=START + index * MICROSECOND,
                    first_row=f" {name[:190]} ",
                )
                begun.append(upload)
                tx.uploads.add(upload)
        plain = [
            evolve(each, encoding="utf-16", header=False, size=0, sha256=f"{index:064}")
            for index, each in enumerate(begun)
        ]
        ended: dict[str, Any] = {
            "status": UploadStatus.FAILED,
            "finished_at": FAR,
            "size": 50 * 1024**2,
            "header": True,
            "header_skipped": True,
            "first_row": "cöde\0\x1b",
            "total": 1_000_000,
            "accepted": 999_998,
            "errors": {RowFaultKind.EMPTY: 1, RowFaultKind.LIST_FULL: 1},
            "warnings": {WarningKind.MARKUP: 2, WarningKind.HELD_BEFORE: 1},
            "withdrawn": 3,
        }
        failed = [
            evolve(each, **ended, failure=FileFault(FileFaultKind.BROKEN_QUOTING, f" {each.filename} ", line))
            for each, line in zip(plain, cycle([None, 7]), strict=False)
        ]
        for stored in (begun, plain, failed):
            with driver.committing(storage) as tx:
                for each in stored:
                    tx.uploads.save(each)
            with storage.begin(write=False) as tx:
                assert [tx.uploads.get(each.id) for each in stored] == stored
                assert tx.uploads.find(list_id, None, None, driver.ALL) == stored[::-1]
                assert tx.uploads.running() == ([] if stored is failed else stored)

    def test_refused_rows_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        texts = [*ALIKE, "", " ", "\t", "NaN", "x" * 2_000]
        faults = [
            RowFault(line, text, RowFaultKind.BAD_FORMAT, f" {text[:200]} ")
            for line, text in enumerate(texts, start=1)
        ]
        with driver.importing(storage, entry, []) as opened:
            opened.refuse(faults)
            driver.claim(opened, list_id)
            opened.save_faults(lambda tx: None)
        with storage.begin(write=False) as tx:
            assert tx.uploads.faults(entry.id, 0, driver.ALL) == faults

    def test_keys_of_deferred_events_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        waiting = [
            Deferred(
                position,
                f"id {key}",
                key,
                attempts=1,
                retry_at=START + position * MICROSECOND,
                reason=f" {key} ",
            )
            for position, key in enumerate(ALIKE, start=1)
        ]
        dead = [
            evolve(each, position=each.position + 1_000, state=DeliveryState.DEAD, retry_at=None)
            for each in waiting
        ]
        with driver.committing(storage) as tx:
            tx.deliveries.put(ALIKE[0], [*waiting, *dead])
        with storage.begin(write=False) as tx:
            assert tx.deliveries.due(ALIKE[0], FAR, driver.ALL) == waiting
            assert tx.deliveries.due(ALIKE[0], START + 2 * MICROSECOND, driver.ALL) == waiting[:2]
            assert tx.deliveries.deferred_keys(ALIKE[0], [*ALIKE, "nobody"]) == set(ALIKE)
            assert tx.deliveries.deferred_keys(ALIKE[0], ALIKE[3:5]) == set(ALIKE[3:5])
            assert tx.deliveries.dead(ALIKE[0], 0, driver.ALL) == dead
            assert tx.deliveries.dead_with_ids(ALIKE[0], [each.id for each in dead[2:4]]) == dead[2:4]
            assert [tx.deliveries.count_dead(sink) for sink in ALIKE[1:]] == [0] * (len(ALIKE) - 1)

    @needs("reservations")
    def test_reservations_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(2 * len(ALIKE)))
        made = []
        with driver.committing(storage) as tx:
            for index, name in enumerate(ALIKE):
                now = START + index * MICROSECOND
                made.append(reserve(tx, list_id, name, now=now))
                made.append(reserve(tx, list_id, "user-1", campaign_id=name, now=now))
        ordered = sorted(made, key=lambda each: (each.expires_at or FAR, each.id))
        with storage.begin(write=False) as tx:
            found = tx.reservations
            assert [found.get(each.id) for each in [*made, evolve(made[0], id="r")]] == [*made, None]
            assert [found.of_user(name) for name in [*ALIKE, "nobody"]] == [
                *([each] for each in made[::2]),
                [],
            ]
            assert [found.open_of_user(name, None, list_id) for name in ALIKE] == [
                [each] for each in made[::2]
            ]
            opened = [found.open_of_user("user-1", name, None) for name in [*ALIKE, "nothing"]]
            assert opened == [*([each] for each in made[1::2]), []]
            for size in (3, driver.ALL):
                pages = driver.pages(
                    partial(found.of_list, list_id), size, None, lambda each: (each.expires_at, each.id)
                )
                assert pages == ordered, f"pages of {size}"


class CompleteAnswerSuite(StorageHooks):
    """Answers that have no limit are complete, in order, and repeat what is asked for twice."""

    def test_many_assignments_are_returned_as_a_whole(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(2 * MANY))
        users = [f"user-{number}" for number in range(MANY)]

        with driver.committing(storage) as tx:
            one = driver.take(tx, list_id, ["one"] * MANY)
            to_one = [evolve(each, ordinal=number) for number, each in enumerate(one, start=1)]
            to_many = driver.take(tx, list_id, users)
            tx.assignments.add([*to_one, *to_many])
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_user("one") == to_one
            found = tx.assignments.holdings(["one", *users], None, list_id)
            assert found == {each.user_id: Holding(each, each.ordinal) for each in [to_one[-1], *to_many]}
            assert tx.assignments.get_many([each.id for each in to_many[::-1]]) == to_many[::-1]
        driver.require_consistent(storage, list_id)

    def test_many_links_lists_and_uploads_are_returned_as_a_whole(self, storage: Storage) -> None:
        names = [f"CMP{number:03}" for number in range(120)]
        with driver.committing(storage) as tx:
            made = [driver.unstored_list(tx, tag=f"t{number}") for number in range(120)]
            for each in made:
                tx.lists.add(each)
        lists = [each.id for each in made]
        with driver.committing(storage) as tx:
            for list_id, name in zip(lists, names, strict=True):
                tx.campaigns.put(driver.a_link(list_id, "all"))
                tx.campaigns.put(driver.a_link(lists[0], name))
                tx.partners.add(Partner(name, START))
                tx.deliveries.save_progress(name, SinkProgress(1))
            tx.audit.append("ops", [ListPaused(occurred_at=START, list_id=name) for name in names])
        uploads = [driver.enter_upload(storage, list_id) for list_id in lists]
        with storage.begin(write=False) as tx:
            assert [found.id for _, found in tx.campaigns.of_campaign("all")] == lists
            assert [link.campaign_id for link in tx.campaigns.of_list(lists[0])] == [*names, "all"]
            assert [partner.name for partner in tx.partners.all()] == names
            assert tx.deliveries.sinks() == names
            assert tx.uploads.running() == uploads
            logged = tx.audit.entries(None, "ops", 0, driver.ALL)
            assert [entry.event.list_id for entry in logged] == names
            assert tx.lists.expiries(lists) == dict.fromkeys(lists, FAR)
        assert driver.stored(storage, lists[0]).campaigns == 121
