"""Revocations and redemptions: what the machine cannot see through the library."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.reconciliation import ERROR_KINDS, ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Storage, Transaction, Uses
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse, needs

DAY = timedelta(days=1)
LATER = START + DAY


def revoke(storage: Storage, given: Assignment) -> Revocation:
    """Revoke an assignment, whatever the rules say."""

    def work(tx: Transaction) -> Revocation:
        found = tx.revocations.get_for_update(given.id)
        assert found == given
        revocation = Revocation(given, LATER, "ops@example.com", "refünd", False)
        tx.revocations.add(revocation)
        return revocation

    return driver.in_transaction(storage, work)


def redeem(storage: Storage, given: Assignment, **fields: Any) -> Redemption:
    """Redeem a code, whatever the rules say."""
    used = Redemption(
        assignment_id=given.id,
        code=given.code,
        list_id=given.list_id,
        campaign_id=given.campaign_id,
        user_id=given.user_id,
        **{"order_id": "order-1", "redeemed_at": LATER, "recorded_at": LATER + DAY, **fields},
        amount=Decimal("9.90"),
        late=True,
    )

    def work(tx: Transaction) -> None:
        tx.redemptions.entries([given.code], None, None)
        tx.redemptions.add([used])

    driver.in_transaction(storage, work)
    return used


def shown_everywhere(tx: Transaction, given: Assignment) -> Assignment:
    """Return an assignment, which all look-ups must show in the same way."""
    (found,) = tx.assignments.get_many([given.id])
    assert found in tx.assignments.of_user(given.user_id)
    assert found in tx.assignments.of_list(given.list_id, None, driver.ALL)
    assert found in tx.assignments.of_code(given.code)
    return found


def last_event(storage: Storage) -> Event:
    """Return the newest event."""
    return driver.outbox(storage)[-1].event


class RevocationSuite(StorageHooks):
    """Tests of `ports.Revocations`."""

    @needs("revocations")
    def test_a_revocation_is_kept_as_it_is_added_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        given, kept = (driver.give(storage, list_id, user) for user in ("user-1", "user-2"))
        made = revoke(storage, given)
        must_refuse(StorageError, storage, lambda tx: tx.revocations.add(made))
        with storage.begin(write=False) as tx:
            found = tx.revocations.get(given.id)
            assert found is not None
            assert found == evolve(made, assignment=found.assignment)
            assert evolve(found.assignment, revoked_at=None) == given
            assert [tx.revocations.get(each) for each in (kept.id, "7", "x")] == [None] * 3
            assert shown_everywhere(tx, given).revoked_at == LATER
            assert shown_everywhere(tx, kept) == kept
        assert last_event(storage) == made.event

    @needs("revocations")
    def test_the_event_of_an_assignment_is_found_until_it_is_removed(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B", "C"])
        given = [driver.give(storage, list_id, f"user-{number}") for number in range(3)]
        entries = driver.outbox(storage)
        positions = {entry.event: entry.position for entry in entries}
        places = [positions[each.event] for each in given]
        revoke(storage, given[0])
        with storage.begin() as tx:
            assert [tx.revocations.event_position(each.id) for each in given] == places
            unsent = tx.revocations.unsent([entry.position for entry in entries])
            assert (set(unsent.cancelled), set(unsent.uncertain)) == ({places[0]}, set())
            assert tx.revocations.unsent(places[1:2]).cancelled == frozenset()
            tx.outbox.remove(places[1])
            found = [tx.revocations.event_position(each.id) for each in given[1:]]
            assert found == [None, places[2]]


class RedemptionSuite(StorageHooks):
    """Tests of `ports.Redemptions` and `ports.Reports`."""

    @needs("redemptions")
    def test_the_entries_of_a_code_are_found_in_all_lists(self, storage: Storage) -> None:
        old = driver.a_list(storage, ["A", "B", "C"])
        driver.assign(storage, "user-0", list_id=old)
        with driver.committing(storage) as tx:
            tx.redemptions.retire(tx.redemptions.entries(["B"], None, None)["B"])
        driver.change(storage, old, state=State.ARCHIVED)
        new = driver.a_list(storage, ["A", "B"])
        given = driver.assign(storage, "user-1", list_id=new)
        other = driver.a_list(storage, ["A", "W"], partner="Amazon")
        driver.library(storage).uploads.withdraw(driver.upload(storage, other, ["X"]).id)

        def facts(each: Entry) -> tuple[object, ...]:
            return each.list_id, each.state, each.user_id, each.partner, each.archived

        with storage.begin(write=False) as tx:
            found = tx.redemptions.entries(["A", "B", "X", "a", "no such code"], None, None)
            narrower = tx.redemptions.entries(["A"], "Amazon", None)["A"]
        assert {code: set(map(facts, entries)) for code, entries in found.items()} == {
            "A": {
                (old, EntryState.HELD, "user-0", "Puma", True),
                (new, EntryState.HELD, "user-1", "Puma", False),
                (other, EntryState.AVAILABLE, None, "Amazon", False),
            },
            "B": {
                (old, EntryState.RETIRED, None, "Puma", True),
                (new, EntryState.AVAILABLE, None, "Puma", False),
            },
        }
        assert given.id in {entry.id for entry in found["A"]}
        assert {entry.expires_at for entry in found["A"]} == {FAR}
        assert other in {entry.list_id for entry in narrower}

    @needs("redemptions")
    def test_a_code_that_leaked_stays_in_its_list_when_its_upload_is_withdrawn(
        self, storage: Storage
    ) -> None:
        list_id = driver.a_list(storage)
        upload = driver.upload(storage, list_id, ["A", "B", "C"])
        with driver.committing(storage) as tx:
            tx.redemptions.retire(tx.redemptions.entries(["B"], None, None)["B"])
        uploads = driver.library(storage).uploads
        assert uploads.withdraw(upload.id).withdrawn == 2
        found = [uploads.explain_duplicate(list_id, code) for code in "ABC"]
        assert [each is not None for each in found] == [False, True, False]
        assert driver.upload(storage, list_id, ["C", "B", "A"]).accepted == 2
        assert driver.remaining(storage, list_id) == ["C", "A"]

    @needs("redemptions")
    def test_redemptions_come_back_as_they_were_stored_with_their_events(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A"])
        given = driver.assign(storage, "user-1", list_id=list_id)

        def require(*redemptions: Redemption, event: Event) -> None:
            live = None if redemptions[-1].reverted_at else redemptions[-1].redeemed_at
            with storage.begin(write=False) as tx:
                assert tx.redemptions.of_assignments([given.id, "12345"]) == {given.id: redemptions}
                (entry,) = tx.redemptions.entries(["A"], None, None)["A"]
                assert entry.redemptions == redemptions
                assert shown_everywhere(tx, given).redeemed_at == live
                held = tx.assignments.holding("user-1", None, list_id).held
                assert held is not None
                assert held.redeemed_at == live
            assert last_event(storage) == event

        used = redeem(storage, given, order_id=None)
        require(used, event=used.event)
        must_refuse(StorageError, storage, lambda tx: tx.redemptions.add([evolve(used, order_id="other")]))
        known = evolve(used, order_id="order-7")
        driver.in_transaction(storage, lambda tx: tx.redemptions.set_order([known]))
        # Its event stays as it was sent.
        require(known, event=used.event)
        undone = evolve(known, reverted_at=LATER + 5 * DAY)
        driver.in_transaction(storage, lambda tx: tx.redemptions.revert(undone))
        require(undone, event=undone.reverted_event)
        again = redeem(storage, given, order_id="order-8", redeemed_at=START, number=2)
        require(undone, again, event=again.event)

    @needs("redemptions")
    def test_the_first_redemptions_of_many_codes_are_stored_at_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(6))
        driver.assign(storage, "user-9", list_id=driver.a_list(storage, ["PM0000"], partner="Amazon"))
        given = [driver.assign(storage, f"user-{n}", list_id=list_id) for n in range(4)]
        redeem(storage, given[3])
        asked = [*driver.some_codes(6), "no such code"]
        known = {each.code: int(each.id) for each in given}
        with driver.committing(storage) as tx:
            places = dict(zip(asked, tx.redemptions.places(asked, None, list_id), strict=True))
            assert all(places[code] in (place, None) for code, place in known.items())
            assert not places["no such code"]
            # A code may be given twice.
            assert tx.redemptions.places(asked[:1] * 2, None, list_id) == [places[asked[0]]] * 2
            assert not tx.redemptions.held([]).unused
            certain = sorted(filter(None, places.values()))
            held = tx.redemptions.held(certain)
            # Entries may be left out; what is returned is certain.
            found = list(held.unused)
            assert set(found) <= {int(each.id) for each in given[:3]}
            assert list(held.expires_at) == [FAR] * len(found)
            report_id, used = tx.reports.new_id(), len(found)
            lines, orders = range(2, 2 + used), [None, "order-2", "order-3"][:used]
            uses = Uses(found, orders, [START] * used, ["9.90"] * used, [False] * used)
            tx.redemptions.record(START, uses)
            codes = {place: code for code, place in known.items()}
            in_lines = [codes[place] for place in found]
            tx.reports.add_found(report_id, RowKind.RECORDED, lines, in_lines, found)
            told = dict(zip(found, orders, strict=True)) | {known[given[3].code]: "order-1"}
            held = tx.redemptions.held(certain)
            assert held.unused == []
            assert list(held.used) == [place for place in certain if place in held.used]
            assert dict(zip(held.used, held.order_ids, strict=True)).items() <= told.items()
        with storage.begin(write=False) as tx:
            stored = tx.redemptions.of_assignments([str(place) for place in found])
            rows = tx.reports.rows(report_id, [RowKind.RECORDED], 0, 9)
        assert [(row.line, row.code, row.assignment_id) for row in rows] == [
            (line, codes[place], str(place)) for line, place in zip(lines, found, strict=True)
        ]
        events = [entry.event for entry in driver.outbox(storage)]
        for place, order_id in zip(found, orders, strict=True):
            (new,) = stored[str(place)]
            assert (new.number, new.order_id, new.redeemed_at, new.recorded_at) == (1, order_id, START, START)
            assert (str(new.amount), new.late) == ("9.90", False)
            assert new.event in events
        later = [evolve(uses[0], order_id="order-9") for uses in stored.values() if uses[0].order_id is None]
        driver.in_transaction(storage, lambda tx: tx.redemptions.set_order(later))
        assert [entry.event for entry in driver.outbox(storage)] == events

    @needs("redemptions")
    def test_assignments_without_a_redemption_are_paged(self, storage: Storage) -> None:
        first = driver.a_list(storage, driver.some_codes(5, "X"))
        second = driver.a_list(storage, driver.some_codes(5, "Y"), tag="summer")
        driver.link(storage, first, "CMP1")
        driver.link(storage, second, "CMP2")
        given = [
            driver.assign(storage, f"user-{n}", campaign_id=f"CMP{n % 2 + 1}", now=START + n * DAY)
            for n in range(8)
        ]
        redeem(storage, given[2])
        until = START + 5 * DAY
        for campaign_id, list_id, expected in (
            ("CMP1", None, ["user-0", "user-4"]),
            (None, second, ["user-1", "user-3", "user-5"]),
            (None, "no id", []),
        ):
            for size in (1, 2, 9):
                with storage.begin(write=False) as tx:
                    read = partial(tx.redemptions.unredeemed, campaign_id, list_id, until)
                    found = driver.pages(read, size, None, lambda each: each.id)
                assert [each.user_id for each in found] == expected

    @needs("redemptions")
    def test_a_report_and_its_rows_come_back(self, storage: Storage) -> None:
        with driver.committing(storage) as tx:
            report = ReconciliationReport(
                id=tx.reports.new_id(),
                partner="Puma",
                list_id=None,
                uploaded_by="ops",
                filename="used.csv",
                sha256="ab" * 32,
                started_at=START,
            )
            other = evolve(report, id=tx.reports.new_id(), partner=None, list_id="7")
            tx.reports.add(report)
            tx.reports.add(other)
        assert int(other.id) > int(report.id)
        rows = [
            ReconciledRow(2, RowKind.RECORDED, "A", assignment_id="77"),
            ReconciledRow(3, RowKind.OTHER_ORDER, "B", "2026-01-01", "order-1", "9.90", "78"),
            ReconciledRow(5, RowKind.MALFORMED, "x\0\u2028\"'", "yesterday", fault="no time"),
            ReconciledRow(2**31, RowKind.UNKNOWN_CODE, "C\"'", "soon", "order\\2", "1.00"),
        ]
        saved = evolve(report, last_line=5, counts={RowKind.RECORDED: 1, RowKind.MALFORMED: 2})
        with driver.committing(storage) as tx:
            # Later ones may belong between the first ones.
            for part in (rows[::2], rows[1:2]):
                tx.reports.add_rows(report.id, part)
            line, _, *cells, _, _ = rows[3]
            tx.reports.add_unknown(report.id, [line], *([cell] for cell in cells))
            tx.reports.add_rows(other.id, rows[:1])
            tx.reports.save(saved)
        with storage.begin() as tx:
            assert (tx.reports.get(report.id), tx.reports.get("no id")) == (saved, None)
            for about, expected in (
                (("ab" * 32, "Puma", None), saved),
                (("ab" * 32, None, "7"), other),
                (("ab" * 32, "Puma", "7"), None),
                (("cd" * 32, "Puma", None), None),
            ):
                assert tx.reports.unfinished(*about) == expected
            assert tx.reports.rows(report.id, tuple(RowKind), 0, 9) == rows
            assert tx.reports.rows(report.id, tuple(RowKind), 2, 2) == rows[1:3]
            assert tx.reports.rows(report.id, ERROR_KINDS, 3, 9) == rows[2:]
            assert tx.reports.rows("no id", ERROR_KINDS, 0, 9) == []
            tx.reports.save(evolve(saved, finished_at=LATER))
            assert tx.reports.unfinished("ab" * 32, "Puma", None) is None
