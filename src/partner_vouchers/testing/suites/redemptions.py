"""Redemptions and the reports of reconciliations."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from attrs import evolve

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.events import CodeRedeemed, CodeRedemptionReverted
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.reconciliation import ERROR_KINDS, ReconciledRow, ReconciliationReport, RowKind
from partner_vouchers.domain.redemption import Entry, EntryState, Redemption
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Storage, Transaction, Uses
from partner_vouchers.testing import driver
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, must_refuse
from partner_vouchers.testing.suites.reservations import needs, require_ability

_DAY = timedelta(days=1)


def _used(
    storage: Storage, given: Assignment, order_id: str | None = "order-1", days: int = 1, number: int = 1
) -> Redemption:
    used = Redemption(
        assignment_id=given.id,
        number=number,
        code=given.code,
        list_id=given.list_id,
        campaign_id=given.campaign_id,
        user_id=given.user_id,
        order_id=order_id,
        redeemed_at=START + days * _DAY,
        recorded_at=START + 2 * _DAY,
        amount=Decimal("9.90"),
        late=True,
    )
    with storage.begin() as tx:
        tx.redemptions.entries([given.code], None, None)
        tx.redemptions.add([used])
        tx.commit()
    return used


def _entries(storage: Storage, *codes: str, partner: str | None = None) -> dict[str, list[Entry]]:
    with storage.begin(write=False) as tx:
        return tx.redemptions.entries(codes, partner, None)


class RedemptionSuite(StorageHooks):
    """What `ports.Redemptions` and `ports.Reports` owe."""

    @needs("redemptions")
    def test_a_redemption_looks_up_what_became_of_each_code(self, storage: Storage) -> None:
        first = driver.a_list(storage, ["A", "B", "C"], expires_at=FAR)
        second = driver.a_list(storage, ["B", "D"], tag="summer")
        other = driver.a_list(storage, ["A"], partner="Amazon")
        withdrawn = driver.upload(storage, first, ["W"]).upload.id
        driver.change(storage, second, state=State.ARCHIVED)
        given, _ = driver.assign(storage, "user-1", list_id=first)
        with storage.begin() as tx:
            assert tx.codes.withdraw(withdrawn) == 1
            tx.commit()
        assert given.code == "A"

        found = _entries(storage, "A", "B", "W", "a", "no such code")
        assert set(found) == {"A", "B"}
        assert _by_list(found["A"]) == {
            first: (EntryState.HELD, "user-1", "Puma", False),
            other: (EntryState.AVAILABLE, None, "Amazon", False),
        }
        assert _by_list(found["B"]) == {
            first: (EntryState.AVAILABLE, None, "Puma", False),
            second: (EntryState.AVAILABLE, None, "Puma", True),
        }
        assert {entry.id for entry in found["A"] if entry.state is EntryState.HELD} == {given.id}
        assert {entry.expires_at for entry in found["A"]} == {FAR}
        narrower = _entries(storage, "A", partner="Amazon")["A"]
        assert other in {entry.list_id for entry in narrower}

    @needs("redemptions")
    def test_a_redemption_finds_the_code_of_an_archived_list_that_was_uploaded_again(
        self, storage: Storage
    ) -> None:
        old = driver.a_list(storage, ["A", "B"])
        driver.assign(storage, "user-1", list_id=old)
        with storage.begin() as tx:
            tx.redemptions.retire(tx.redemptions.entries(["B"], None, None)["B"])
            tx.commit()
        driver.change(storage, old, state=State.ARCHIVED)
        new = driver.a_list(storage, ["A", "B"])
        found = _entries(storage, "A", "B")
        assert {entry.list_id: entry.state for entry in found["A"]} == {
            old: EntryState.HELD,
            new: EntryState.AVAILABLE,
        }
        assert {entry.list_id: entry.state for entry in found["B"]} == {
            old: EntryState.RETIRED,
            new: EntryState.AVAILABLE,
        }

    @needs("redemptions")
    def test_a_redemption_comes_back_as_it_was_stored_with_its_event(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        given, _ = driver.assign(storage, "user-1", list_id=list_id)
        used = _used(storage, given)
        [entry] = _entries(storage, "A")["A"]
        assert entry.redemptions == (used,)
        with storage.begin(write=False) as tx:
            assert tx.redemptions.of_assignments([given.id, "12345"]) == {given.id: (used,)}
            assert tx.assignments.get_many([given.id])[0].redeemed_at == used.redeemed_at
            assert tx.assignments.of_user("user-1")[0].redeemed_at == used.redeemed_at
            assert tx.assignments.of_list(list_id, None, 9)[0].redeemed_at == used.redeemed_at
            assert tx.assignments.of_code("A")[0].redeemed_at == used.redeemed_at
            latest = tx.assignments.latest("user-1", None, list_id)
            assert latest is not None
            assert latest.redeemed_at == used.redeemed_at
        assert driver.outbox(storage)[-1].event == used.event
        assert isinstance(used.event, CodeRedeemed)

    @needs("redemptions")
    def test_the_first_redemptions_of_many_codes_are_stored_at_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(6))
        other = driver.a_list(storage, ["PM0000", "PM0001"], partner="Amazon")
        given = [driver.assign(storage, f"user-{n}", list_id=list_id)[0] for n in range(4)]
        driver.assign(storage, "user-9", list_id=other)
        _used(storage, given[3])
        asked = [*driver.some_codes(6), "no such code"]
        with storage.begin() as tx:
            places = tx.redemptions.places(asked, None, list_id)
            known = {each.code: {int(each.id), None} for each in given}
            assert all(places[code] in known.get(code, {None}) for code in asked[:4])
            assert places.get("no such code") is None
            found = tx.redemptions.unused(sorted(place for place in places.values() if place is not None))
            # Entries may be left out; what is returned is certain.
            assert found.items() <= {int(each.id): FAR for each in given[:3]}.items()
            report_id = tx.reports.new_id()
            tx.redemptions.record(
                report_id,
                START,
                Uses(
                    list(range(2, 2 + len(found))),
                    list(found),
                    [f"order-{place}" for place in found],
                    [START] * len(found),
                    ["9.90"] * len(found),
                    [False] * len(found),
                ),
            )
            assert tx.redemptions.unused(list(found)) == {}
            tx.commit()
        with storage.begin(write=False) as tx:
            stored = tx.redemptions.of_assignments([str(place) for place in found])
            rows = tx.reports.rows(report_id, [RowKind.RECORDED], 0, 9)
        events = [entry.event for entry in driver.outbox(storage)]
        codes = {int(each.id): each.code for each in given}
        assert [(row.line, row.code, row.assignment_id) for row in rows] == [
            (line, codes[place], str(place)) for line, place in enumerate(found, start=2)
        ]
        for place in found:
            [redemption] = stored[str(place)]
            assert (redemption.number, redemption.order_id, redemption.redeemed_at) == (
                1,
                f"order-{place}",
                START,
            )
            assert (redemption.recorded_at, redemption.amount, redemption.late) == (
                START,
                Decimal("9.90"),
                False,
            )
            assert redemption.event in events

    @needs("redemptions")
    def test_a_redemption_is_not_stored_twice(self, storage: Storage) -> None:
        given, _ = driver.assign(storage, "user-1", list_id=driver.a_list(storage, ["A"]))
        used = _used(storage, given)
        must_refuse(StorageError, storage, lambda tx: tx.redemptions.add([evolve(used, order_id="other")]))
        with storage.begin(write=False) as tx:
            assert tx.redemptions.of_assignments([given.id]) == {given.id: (used,)}

    @needs("redemptions")
    def test_a_redemption_that_is_not_committed_leaves_nothing(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, ["A", "B"])
        given, _ = driver.assign(storage, "user-1", list_id=list_id)
        used = _used(storage, given)
        events = len(driver.outbox(storage))
        with storage.begin() as tx:
            tx.redemptions.revert(evolve(used, reverted_at=START + 3 * _DAY))
            tx.redemptions.add([evolve(used, number=2, order_id="order-2")])
            tx.redemptions.retire(tx.redemptions.entries(["B"], None, None)["B"])
        assert driver.remaining(storage, list_id) == ["B"]
        with storage.begin(write=False) as tx:
            assert tx.redemptions.of_assignments([given.id]) == {given.id: (used,)}
        assert len(driver.outbox(storage)) == events

    @needs("redemptions")
    def test_a_redemption_gets_its_order_later_and_is_reverted_with_an_event(self, storage: Storage) -> None:
        given, _ = driver.assign(storage, "user-1", list_id=driver.a_list(storage, ["A"]))
        used = _used(storage, given, order_id=None)
        known = evolve(used, order_id="order-7")
        undone = evolve(known, reverted_at=START + 5 * _DAY)
        with storage.begin() as tx:
            tx.redemptions.set_order([known])
            tx.commit()
        with storage.begin() as tx:
            assert tx.redemptions.of_assignments([given.id]) == {given.id: (known,)}
            tx.redemptions.revert(undone)
            tx.commit()
        event = driver.outbox(storage)[-1].event
        assert event == undone.reverted_event
        assert isinstance(event, CodeRedemptionReverted)
        with storage.begin(write=False) as tx:
            assert tx.assignments.get_many([given.id])[0].redeemed_at is None
        again = _used(storage, given, order_id="order-8", days=6, number=2)
        with storage.begin(write=False) as tx:
            assert tx.redemptions.of_assignments([given.id]) == {given.id: (undone, again)}
            assert tx.assignments.get_many([given.id])[0].redeemed_at == again.redeemed_at

    @needs("redemptions")
    def test_a_redemption_of_a_code_that_was_never_given_out_retires_it(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(6, "X"))
        upload_id = driver.upload(storage, list_id, driver.some_codes(4, "Y")).upload.id
        driver.assign(storage, "user-1", list_id=list_id)
        leaked = ["X0001", "X0003", "Y0001"]
        with storage.begin() as tx:
            found = tx.redemptions.entries(leaked, None, None)
            tx.redemptions.retire([entry for code in leaked for entry in found[code]])
            assert tx.codes.counts(list_id) == Counts(uploaded=10, distributed=1, retired=3)
            tx.commit()
        assert driver.remaining(storage, list_id) == ["X0002", "X0004", "X0005", "Y0000", "Y0002", "Y0003"]
        assert {code: each[0].state for code, each in _entries(storage, *leaked).items()} == dict.fromkeys(
            leaked, EntryState.RETIRED
        )
        scope = driver.stored(storage, list_id).scope
        with storage.begin(write=False) as tx:
            held = [tx.codes.holder(scope, code, lambda state: state is State.ACTIVE) for code in leaked]
        assert [holder and holder.list_id for holder in held] == [list_id] * 3
        assert driver.upload(storage, list_id, leaked).accepted == 0
        with storage.begin() as tx:
            assert tx.codes.withdraw(upload_id) == 3
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == ["X0002", "X0004", "X0005"]
            assert tx.codes.counts(list_id) == Counts(uploaded=10, distributed=4, withdrawn=3, retired=3)

    @needs("redemptions")
    def test_a_redemption_tells_reserved_codes_from_those_that_came_back(self, storage: Storage) -> None:
        require_ability(storage, "reservations")
        list_id = driver.a_list(storage, driver.some_codes(4, "X"))
        with storage.begin() as tx:
            taken = tx.codes.take(list_id, 3, reserve_until=START + _DAY).codes
            reserved = [
                Reservation(
                    id=f"r{code.id}",
                    code=code.code,
                    code_id=code.id,
                    user_id=f"user-{code.id}",
                    campaign_id=None,
                    list_id=list_id,
                    reserved_at=START,
                    expires_at=START + _DAY,
                )
                for code in taken
            ]
            tx.reservations.add(reserved)
            for each in reserved[:2]:
                tx.reservations.end(each, ReservationState.RELEASED, START)
            tx.commit()
        found = _entries(storage, "X0000", "X0001", "X0002", "X0003")
        assert [found[code][0].state for code in sorted(found)] == [
            EntryState.AVAILABLE,
            EntryState.AVAILABLE,
            EntryState.RESERVED,
            EntryState.AVAILABLE,
        ]
        with storage.begin() as tx:
            tx.redemptions.retire(tx.redemptions.entries(["X0000"], None, None)["X0000"])
            tx.commit()
        with storage.begin() as tx:
            assert tx.codes.counts(list_id) == Counts(uploaded=4, reserved=1, retired=1)
            assert driver.codes_of(tx.codes.take(list_id, 9).codes) == ["X0001", "X0003"]

    @needs("redemptions")
    def test_assignments_without_a_redemption_are_paged(self, storage: Storage) -> None:
        first = driver.a_list(storage, driver.some_codes(5, "X"))
        second = driver.a_list(storage, driver.some_codes(5, "Y"), tag="summer")
        with storage.begin() as tx:
            tx.campaigns.put(driver.a_link(first, "CMP1"))
            tx.campaigns.put(driver.a_link(second, "CMP2"))
            tx.commit()
        given = [
            driver.assign(storage, f"user-{n}", campaign_id=f"CMP{n % 2 + 1}", now=START + n * _DAY)[0]
            for n in range(8)
        ]
        _used(storage, given[2])

        def read(tx: Transaction, page: int, **asked: str | None) -> list[str]:
            about = {"campaign_id": None, "list_id": None} | asked
            found: list[str] = []
            after: str | None = None
            while part := tx.redemptions.unredeemed(
                about["campaign_id"], about["list_id"], START + 5 * _DAY, after, page
            ):
                found += [each.user_id for each in part]
                after = part[-1].id
            return found

        for page in (1, 2, 9):
            with storage.begin(write=False) as tx:
                assert read(tx, page, campaign_id="CMP1") == ["user-0", "user-4"]
                assert read(tx, page, list_id=second) == ["user-1", "user-3", "user-5"]
                assert read(tx, page, list_id="no id") == []

    @needs("redemptions")
    def test_a_report_and_its_rows_come_back(self, storage: Storage) -> None:
        with storage.begin() as tx:
            report = ReconciliationReport(
                id=tx.reports.new_id(),
                partner="Puma",
                list_id=None,
                uploaded_by="ops",
                filename="used.csv",
                sha256="ab" * 32,
                started_at=START,
            )
            tx.reports.add(report)
            other = evolve(report, id=tx.reports.new_id(), partner=None, list_id="7")
            tx.reports.add(other)
            tx.commit()
        assert int(other.id) > int(report.id)
        rows = [
            ReconciledRow(2, RowKind.RECORDED, "A", assignment_id="77"),
            ReconciledRow(3, RowKind.OTHER_ORDER, "B", "2026-01-01", "order-1", "9.90", "78"),
            ReconciledRow(5, RowKind.MALFORMED, "x\0\u2028\"'", "yesterday", fault="no time"),
            ReconciledRow(2**31, RowKind.UNKNOWN_CODE, "C"),
        ]
        saved = evolve(report, last_line=5, counts={RowKind.RECORDED: 1, RowKind.MALFORMED: 2})
        with storage.begin() as tx:
            tx.reports.add_rows(report.id, rows[:3])
            tx.reports.add_rows(report.id, rows[3:])
            tx.reports.add_rows(other.id, rows[:1])
            tx.reports.save(saved)
            tx.commit()
        with storage.begin(write=False) as tx:
            assert tx.reports.get(report.id) == saved
            assert tx.reports.unfinished("ab" * 32, "Puma", None) == saved
            assert tx.reports.unfinished("ab" * 32, None, "7") == other
            assert tx.reports.unfinished("ab" * 32, "Puma", "7") is None
            assert tx.reports.unfinished("cd" * 32, "Puma", None) is None
            assert tx.reports.rows(report.id, tuple(RowKind), 0, 9) == rows
            assert tx.reports.rows(report.id, tuple(RowKind), 2, 2) == rows[1:3]
            assert tx.reports.rows(report.id, ERROR_KINDS, 3, 9) == rows[2:]
            assert tx.reports.rows("no id", ERROR_KINDS, 0, 9) == []
            assert tx.reports.get("no id") is None
        with storage.begin() as tx:
            tx.reports.save(evolve(saved, finished_at=START + _DAY))
            assert tx.reports.unfinished("ab" * 32, "Puma", None) is None


def _by_list(entries: list[Entry]) -> dict[str, tuple[EntryState, str | None, str, bool]]:
    return {entry.list_id: (entry.state, entry.user_id, entry.partner, entry.archived) for entry in entries}
