"""Values come back exactly as they were stored, and strings that look alike are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.delivery import Deferred, DeliveryState, Pause, SinkProgress
from partner_vouchers.domain.duplicates import Holder, counts_for_duplicates
from partner_vouchers.domain.events import FieldChange, ListPaused
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.promo_events import PointsDebited
from partner_vouchers.domain.refusals import RefusalCount, RefusalReason
from partner_vouchers.domain.uploads import FileFault, FileFaultKind, RowFault, RowFaultKind, Tally, Upload
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks
from partner_vouchers.testing.suites.reservations import needs, reserve

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


class ExactValueSuite(StorageHooks):
    """What each port owes to strings and instants."""

    def test_partners_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        partners = [Partner(name, START + index * MICROSECOND) for index, name in enumerate(ALIKE)]
        with storage.begin() as tx:
            assert all(tx.partners.add(partner) for partner in partners)
            assert not any(tx.partners.add(partner) for partner in partners)
            tx.commit()
        with storage.begin(write=False) as tx:
            assert [tx.partners.get(name) for name in ALIKE] == partners
            assert tx.partners.all() == sorted(partners, key=lambda partner: partner.name)

    def test_lists_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        owners = [(partner, "winter") for partner in ALIKE] + [("Puma", tag) for tag in TAGS]
        lists = []
        with storage.begin() as tx:
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
            tx.commit()
        with storage.begin() as tx:
            assert [tx.lists.get(each.id) for each in lists] == lists
            assert [tx.lists.with_tag(*owner) for owner in owners] == lists
            assert tx.lists.expiries([each.id for each in lists]) == {
                each.id: each.expires_at for each in lists
            }
            for each in lists[: len(ALIKE)]:
                assert tx.lists.find(evolve(driver.all_lists(), partner=each.partner)) == [each]
            for each in lists[len(ALIKE) :]:
                assert tx.lists.find(evolve(driver.all_lists(), tag=each.tag)) == [each]
            lists = [evolve(each, name=f"{each.name[:250]} ", version=2) for each in lists]
            for each in lists:
                tx.lists.save(each)
            tx.commit()
        assert [driver.stored(storage, each.id) for each in lists] == lists

    def test_campaigns_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(len(ALIKE)))
        links = [
            evolve(
                driver.a_link(list_id, name), linked_at=START + index * MICROSECOND, eligibility=ALIKE[-index]
            )
            for index, name in enumerate(ALIKE)
        ]
        with storage.begin() as tx:
            for link in links:
                tx.campaigns.put(link)
            tx.commit()
        given = [driver.assign(storage, "user-1", campaign_id=name)[0] for name in ALIKE]
        with storage.begin() as tx:
            assert [tx.campaigns.get(list_id, name) for name in ALIKE] == links
            assert tx.campaigns.of_list(list_id) == sorted(links, key=lambda link: link.campaign_id)
            assert tx.campaigns.ids(None, driver.ALL) == sorted(ALIKE)
            assert [[link for link, _ in tx.campaigns.of_campaign(name)] for name in ALIKE] == [
                [link] for link in links
            ]
            assert [tx.assignments.latest("user-1", name, None) for name in ALIKE] == given
            assert tx.campaigns.remove(list_id, ALIKE[0])
            assert tx.campaigns.ids(None, driver.ALL) == sorted(ALIKE[1:])

    def test_users_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(len(ALIKE)))
        given = [
            driver.assign(storage, user, list_id=list_id, now=START + index * MICROSECOND)[0]
            for index, user in enumerate(ALIKE)
        ]
        assert [each.user_id for each in given] == ALIKE
        with storage.begin(write=False) as tx:
            assert [tx.assignments.of_user(user) for user in ALIKE] == [[each] for each in given]
            assert [tx.assignments.latest(user, None, list_id) for user in ALIKE] == given
            assert tx.assignments.latest_of_many(ALIKE, None, list_id) == dict(zip(ALIKE, given, strict=True))
            assert tx.assignments.of_list(list_id, None, driver.ALL) == given
        assert driver.rewards(storage) == [each.event for each in given]

    def test_codes_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        assert driver.upload(storage, list_id, CODES).accepted == len(CODES)
        assert driver.remaining(storage, list_id) == CODES
        scope = driver.stored(storage, list_id).scope
        with storage.begin(write=False) as tx:
            held = [tx.codes.holder(scope, code, counts_for_duplicates) for code in CODES]
            assert held == [Holder(list_id)] * len(CODES)
        given = [driver.assign(storage, f"user-{index}", list_id=list_id)[0] for index in range(len(CODES))]
        assert driver.codes_of(given) == CODES
        with storage.begin(write=False) as tx:
            assert [tx.assignments.of_code(code) for code in CODES] == [[each] for each in given]
        again = driver.upload(storage, list_id, [*CODES, "new"])
        assert (again.accepted, again.refused) == (1, {RowFaultKind.DUPLICATE_IN_LIST: len(CODES)})

    def test_scopes_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        lists = []
        with storage.begin() as tx:
            for index, scope in enumerate(ALIKE):
                lists.append(evolve(driver.unstored_list(tx, tag=f"t{index}"), scope=scope))
                tx.lists.add(lists[-1])
            tx.commit()
        for each in lists:
            assert driver.upload(storage, each.id, ["A"]).accepted == 1
        with storage.begin(write=False) as tx:
            found = [tx.codes.holder(scope, "A", counts_for_duplicates) for scope in ALIKE]
        assert found == [Holder(each.id) for each in lists]

    def test_idempotency_keys_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        results = [("3", "1", "2", "1", key[:1].strip() or "-") for key in ALIKE]
        with storage.begin() as tx:
            for key, result in zip(ALIKE, results, strict=True):
                tx.keys.put(key, f" {key} ", result)
            tx.commit()
        with storage.begin(write=False) as tx:
            for key, result in zip(ALIKE, results, strict=True):
                assert tx.keys.get(key) == (f" {key} ", result)

    def test_settings_and_leases_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        end = START + MICROSECOND
        with storage.begin() as tx:
            for name in ALIKE:
                tx.settings.put(name, f" {name}\n")
                assert tx.leases.take(name, "me", START, end)
            for owner in ALIKE:
                tx.leases.take(f"of {owner}", owner, START, end)
            tx.commit()
        with storage.begin() as tx:
            assert [tx.settings.get(name) for name in ALIKE] == [f" {name}\n" for name in ALIKE]
            for owner in ALIKE:
                held = [other for other in ALIKE if tx.leases.held(f"of {owner}", other)]
                assert held == [owner]
                tx.leases.release(f"of {owner}", f"{owner[:-1]}Q")
                assert tx.leases.held(f"of {owner}", owner)
            assert not tx.leases.take(ALIKE[0], "you", end, FAR)
            assert tx.leases.take(ALIKE[0], "you", end + MICROSECOND, FAR)
            assert all(tx.leases.held(name, "me") for name in ALIKE[1:])

    def test_uploads_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        uploads: list[Upload] = []
        with storage.begin() as tx:
            for index, name in enumerate(ALIKE):
                uploads.append(
                    Upload(
                        id=tx.uploads.new_id(),
                        list_id=list_id,
                        uploaded_by=name,
                        filename=f"{name[:250]}.csv",
                        started_at=START + index * MICROSECOND,
                        first_row=f" {name[:190]} ",
                    )
                )
                tx.uploads.add(uploads[-1])
            tx.commit()
        failed = [
            each.failed(Tally(), FileFault(FileFaultKind.BROKEN_QUOTING, f" {each.filename} "), FAR)[0]
            for each in uploads
        ]
        for stored in (uploads, failed):
            with storage.begin() as tx:
                for each in stored:
                    tx.uploads.save(each)
                tx.commit()
            with storage.begin(write=False) as tx:
                assert [tx.uploads.get(each.id) for each in stored] == stored
                assert tx.uploads.find(list_id, None, None, driver.ALL) == stored[::-1]
                assert tx.uploads.running() == (uploads if stored is uploads else [])

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

    def test_events_and_actors_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        changes = [
            ListPaused(
                occurred_at=START + index * MICROSECOND,
                list_id="7",
                changes=(FieldChange(name[:50], f" {name}\n", index / 3),),
            )
            for index, name in enumerate(ALIKE)
        ]
        points = [
            PointsDebited(
                occurred_at=END_OF_TIME - index * MICROSECOND,
                user_id=name,
                wallet_id=name,
                source="API",
                points=index + 0.1,
                transaction_id=name,
            )
            for index, name in enumerate(ALIKE)
        ]
        told = len(driver.outbox(storage))
        with storage.begin() as tx:
            tx.outbox.append([*points, *changes])
            for actor, change in zip(ALIKE, changes, strict=True):
                tx.audit.append(actor, [change])
            tx.commit()
        assert [entry.event for entry in driver.outbox(storage)[told:]] == [*points, *changes]
        with storage.begin(write=False) as tx:
            found = [tx.audit.entries(None, actor, 0, driver.ALL) for actor in ALIKE]
        assert [[(entry.actor, entry.event) for entry in entries] for entries in found] == [
            [(actor, change)] for actor, change in zip(ALIKE, changes, strict=True)
        ]

    def test_sinks_and_keys_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        progress = {
            sink: SinkProgress(index, pause=Pause(1, START + index * MICROSECOND))
            for index, sink in enumerate(ALIKE, start=1)
        }
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
        with storage.begin() as tx:
            for sink, far in progress.items():
                tx.deliveries.save_progress(sink, far)
            tx.deliveries.put(ALIKE[0], [*waiting, *dead])
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.deliveries.sinks() == sorted(ALIKE)
            assert {sink: tx.deliveries.progress(sink) for sink in ALIKE} == progress
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
        with storage.begin() as tx:
            for index, name in enumerate(ALIKE):
                now = START + index * MICROSECOND
                made.append(reserve(tx, list_id, name, now=now))
                made.append(reserve(tx, list_id, "user-1", campaign_id=name, now=now))
            tx.commit()
        with storage.begin(write=False) as tx:
            assert [tx.reservations.get(each.id) for each in made] == made
            assert [tx.reservations.of_user(name) for name in ALIKE] == [[each] for each in made[::2]]
            opened = [tx.reservations.open_of_user("user-1", name, None) for name in ALIKE]
            assert opened == [[each] for each in made[1::2]]
            ordered = sorted(made, key=lambda each: (each.expires_at or FAR, each.id))
            assert tx.reservations.of_list(list_id, None, driver.ALL) == ordered

    @needs("limits")
    def test_limits_of_campaigns_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        with storage.begin() as tx:
            for index, name in enumerate(ALIKE, start=1):
                tx.limits.replace(name, [Limit(index, per="campaign")], {"": index})
            tx.commit()
        with storage.begin(write=False) as tx:
            for index, name in enumerate(ALIKE, start=1):
                assert tx.limits.get(name) == (Limit(index, per="campaign"),)
                assert tx.limits.counts(name, [""]) == {"": index}

    @needs("refusals")
    def test_refusals_of_campaigns_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        counts = [RefusalCount(START.date(), RefusalReason.EXHAUSTED, None, index + 1) for index in range(99)]
        with storage.begin() as tx:
            for name, count in zip(ALIKE, counts, strict=False):
                tx.refusals.add(name, [count])
            tx.commit()
        with storage.begin(write=False) as tx:
            for name, count in zip(ALIKE, counts, strict=False):
                assert tx.refusals.of_campaign(name, None, None) == [count]


class CompleteAnswerSuite(StorageHooks):
    """Answers that have no limit are complete, in order, and repeat what is asked for twice."""

    def test_many_assignments_are_returned_as_a_whole(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(2 * MANY))
        users = [f"user-{number}" for number in range(MANY)]

        def give(tx: Transaction, receivers: Sequence[str], *, counting: bool) -> list[Assignment]:
            taken, snapshot = tx.codes.take(list_id, MANY).codes, driver.require_list(tx, list_id).snapshot
            given = [
                Assignment(code.id, code.code, user, None, number if counting else 1, START, snapshot)
                for number, (code, user) in enumerate(zip(taken, receivers, strict=True), start=1)
            ]
            tx.assignments.add(given)
            return given

        with storage.begin() as tx:
            to_one, to_many = give(tx, ["one"] * MANY, counting=True), give(tx, users, counting=False)
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.assignments.of_user("one") == to_one
            found = tx.assignments.latest_of_many(["one", *users], None, list_id)
            assert found == {each.user_id: each for each in [to_one[-1], *to_many]}
            assert tx.assignments.get_many([each.id for each in to_many[::-1]]) == to_many[::-1]
        driver.require_consistent(storage, list_id)

    def test_what_is_asked_for_twice_is_returned_twice(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        first, second = (driver.assign(storage, user, list_id=list_id)[0] for user in ("user-1", "user-2"))
        entries = driver.outbox(storage)
        twice = [entries[1], entries[0], entries[1], entries[1]]
        with storage.begin(write=False) as tx:
            found = tx.assignments.get_many([second.id, first.id, second.id, first.id])
            assert found == [second, first, second, first]
            assert tx.outbox.get_many([entry.position for entry in twice]) == twice

    def test_many_links_lists_and_uploads_are_returned_as_a_whole(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(120)]
        names = [f"CMP{number:03}" for number in range(120)]
        with storage.begin() as tx:
            for list_id, name in zip(lists, names, strict=True):
                tx.campaigns.put(driver.a_link(list_id, "all"))
                tx.campaigns.put(driver.a_link(lists[0], name))
                tx.partners.add(Partner(name, START))
                tx.deliveries.save_progress(name, SinkProgress(1))
            tx.audit.append("ops", [ListPaused(occurred_at=START, list_id=name) for name in names])
            tx.commit()
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
