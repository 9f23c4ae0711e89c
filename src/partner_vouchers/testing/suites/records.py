"""Uploads, outbox, audit log, leases and settings."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from attrs import evolve
from hypothesis import strategies as st

from partner_vouchers.domain.events import AuditedEvent, Event, ListPaused, PartnerAdded
from partner_vouchers.domain.uploads import (
    Upload,
    UploadStatus,
)
from partner_vouchers.errors import StorageError, UnknownList, UnknownUpload
from partner_vouchers.ports import AuditEntry, Storage
from partner_vouchers.testing import driver, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, for_all, must_refuse
from partner_vouchers.testing.suites.lists import NOBODY

SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


class UploadSuite(StorageHooks):
    """Tests of `ports.Uploads`."""

    def test_uploads_are_paged_from_the_newest_and_run_from_the_oldest(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(2)]
        entries = [driver.enter_upload(storage, lists[number % 2]) for number in range(12)]
        with driver.committing(storage) as tx:
            ended = [evolve(entry, status=UploadStatus.FAILED) for entry in entries[:3]]
            for entry in ended:
                tx.uploads.save(entry)
        known = [*ended, *entries[3:]]
        with storage.begin(write=False) as tx:
            assert tx.uploads.running() == entries[3:]
            for list_id, status, expected in (
                (lists[0], None, known[-2::-2]),
                (None, None, known[::-1]),
                (None, UploadStatus.FAILED, ended[::-1]),
                (lists[1], UploadStatus.IN_PROGRESS, known[:2:-2]),
            ):
                for size in (1, 5, 99):
                    read = partial(tx.uploads.find, list_id, status)
                    found = driver.pages(read, size, None, lambda each: each.id)
                    assert found == expected, f"pages of {size}"

    def test_a_completed_upload_is_found_by_its_file(self, storage: Storage) -> None:
        lists = [driver.a_list(storage, tag=f"t{number}") for number in range(2)]
        completed, failed = UploadStatus.COMPLETED, UploadStatus.FAILED
        with driver.committing(storage) as tx:
            for status in (completed, completed, failed, UploadStatus.IN_PROGRESS):
                latest = Upload(
                    id=tx.uploads.new_id(),
                    list_id=lists[0],
                    uploaded_by="ops",
                    filename="codes.csv",
                    started_at=START,
                )
                tx.uploads.add(latest)
                tx.uploads.save(evolve(latest, sha256="a" * 64, status=status))
        with storage.begin(write=False) as tx:
            newest, second, *_ = tx.uploads.find(lists[0], completed, None, 9)
            assert tx.uploads.completed_with(lists[0], "a" * 64) == newest != second
            assert tx.uploads.completed_with(lists[1], "a" * 64) is None
            assert tx.uploads.completed_with(lists[0], "b" * 64) is None

    def test_pieces_of_a_file_are_stored_once_and_come_back_byte_for_byte(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        pieces = [bytes(range(256)) * 40, b"", b"\0", "Пума\r\n".encode()]
        entries = [driver.enter_upload(storage, list_id) for _ in range(2)]
        with driver.committing(storage) as tx:
            for index, piece in enumerate(pieces):
                tx.uploads.add_piece(entries[0].id, index, piece)
        for index in range(2):
            for data in (b"again", b""):
                must_refuse(
                    StorageError,
                    storage,
                    lambda tx, piece=(index, data): tx.uploads.add_piece(entries[0].id, *piece),  # type: ignore[misc]
                )
        with storage.begin(write=False) as tx:
            assert [tx.uploads.piece(entries[0].id, index) for index in range(5)] == [*pieces, None]
            assert tx.uploads.piece(entries[1].id, 0) is None

    def test_an_abandoned_upload_keeps_its_file_only_where_it_is_whole(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entries = [driver.enter_upload(storage, list_id) for _ in range(2)]
        for entry, sha256 in zip(entries, ("f" * 64, None), strict=True):
            with driver.committing(storage) as tx:
                tx.uploads.add_piece(entry.id, 0, b"A\n")
                tx.uploads.save(evolve(entry, sha256=sha256, status=UploadStatus.FAILED))
            storage.abandon(entry.id)
        with storage.begin(write=False) as tx:
            assert [tx.uploads.piece(entry.id, 0) for entry in entries] == [b"A\n", None]

    def test_an_upload_belongs_to_a_list_and_is_stored_once(self, storage: Storage) -> None:
        list_id = driver.a_list(storage)
        entry = driver.enter_upload(storage, list_id)
        must_refuse(StorageError, storage, lambda tx: tx.uploads.add(evolve(entry, filename="again.csv")))

        def require_unknown(nobody: str) -> None:
            lost = evolve(entry, list_id=nobody)
            must_refuse(UnknownList, storage, lambda tx: tx.uploads.add(evolve(lost, id=tx.uploads.new_id())))
            must_refuse(UnknownUpload, storage, lambda tx: tx.uploads.save(evolve(entry, id=nobody)))
            must_refuse(UnknownUpload, storage, lambda tx: tx.uploads.add_piece(nobody, 0, b"A"))

        for nobody in NOBODY:
            require_unknown(nobody)
        with storage.begin(write=False) as tx:
            assert tx.uploads.find(list_id, None, None, 9) == [entry]


class JournalSuite(StorageHooks):
    """Tests of `ports.Outbox` and `ports.Audit`."""

    def test_every_kind_of_event_comes_back(self, storage: Storage) -> None:
        @for_all(st.lists(strategies.stored_events(), max_size=6), st.none() | strategies.names())
        def check(events: list[Event], actor: str | None) -> None:
            changes = [event for event in events if isinstance(event, AuditedEvent)]
            told = len(driver.outbox(storage))
            with driver.committing(storage) as tx:
                log = tx.audit.entries(None, None, 0, driver.ALL)
                tx.outbox.append(events)
                tx.audit.append(actor, changes)
            assert [entry.event for entry in driver.outbox(storage)[told:]] == events
            with storage.begin(write=False) as tx:
                found = tx.audit.entries(None, None, log[-1].position if log else 0, driver.ALL)
            assert [(entry.actor, entry.event) for entry in found] == [(actor, change) for change in changes]

        check()

    def test_the_audit_log_is_read_from_either_end(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(2))
        with storage.begin(write=False) as tx:
            for chosen in (None, list_id):
                log = tx.audit.entries(chosen, None, 0, driver.ALL)
                backwards: list[AuditEntry] = []
                while page := tx.audit.latest(chosen, None, backwards[-1].position if backwards else None, 1):
                    backwards += page
                assert backwards == log[::-1]
                assert len(log) > 1

    def test_the_outbox_is_read_in_the_order_of_commits(self, storage: Storage) -> None:
        list_id = driver.a_list(storage, driver.some_codes(9))
        start = len(driver.outbox(storage))
        told: list[Event] = []
        for number in range(9):
            with storage.begin() as tx:
                tx.outbox.append([PartnerAdded(occurred_at=FAR)])
            with driver.committing(storage) as tx:
                before, after = (
                    ListPaused(occurred_at=START, list_id=str(each + 1)) for each in (number, 99)
                )
                tx.outbox.append([before])
                (given,) = driver.take(tx, list_id, [f"user-{number}"])
                tx.assignments.add([given])
                tx.outbox.append([after])
            told += [before, given.event, after]
        entries = driver.outbox(storage)[start:]
        assert [entry.event for entry in entries] == told
        positions = [entry.position for entry in entries]
        assert positions == sorted(set(positions))
        with storage.begin(write=False) as tx:
            for size in (1, 4):
                found = driver.pages(tx.outbox.read, size, positions[0] - 1, lambda each: each.position)
                assert found == entries, f"pages of {size}"

    def test_ids_of_events_are_unique_among_storages_and_never_change(self, storage: Storage) -> None:
        def tell(told: Storage) -> list[str]:
            with driver.committing(told) as tx:
                tx.outbox.append([PartnerAdded(occurred_at=START)] * 3)
            return [entry.id for entry in driver.outbox(told)]

        first = tell(storage)
        assert tell(storage)[:3] == first
        with self.fresh() as (other, _):
            ids = tell(storage) + tell(other)
        assert len(set(ids)) == len(ids) == 12

    def test_the_audit_log_is_read_by_list_by_actor_and_by_page(self, storage: Storage) -> None:
        written: list[tuple[str | None, AuditedEvent]] = []
        for number in range(12):
            actor = (None, "ops", "Ops")[number % 3]
            change = ListPaused(occurred_at=START, list_id=("7", "70", None, "7")[number % 4])
            driver.in_transaction(storage, lambda tx, entry=(actor, [change]): tx.audit.append(*entry))  # type: ignore[misc]
            written.append((actor, change))
        with storage.begin() as tx:
            tx.audit.append("rolled back", [written[0][1]])
        with storage.begin(write=False) as tx:
            for of in ((list_id, actor) for list_id in (None, "7", "70") for actor in (None, "ops", "Ops")):
                found = driver.pages(partial(tx.audit.entries, *of), 2, 0, lambda each: each.position)
                assert [(entry.actor, entry.event) for entry in found] == [
                    (by, change)
                    for by, change in written
                    if of[0] in (None, change.list_id) and of[1] in (None, by)
                ], of


class LeaseSuite(StorageHooks):
    """Tests of `ports.Leases` and `ports.Settings`."""

    def test_a_lease_has_one_holder_until_it_ends(self, storage: Storage) -> None:
        end = START + 10 * SECOND
        with driver.committing(storage) as tx:
            assert tx.leases.take("list 1", "me", START, end)
        with driver.committing(storage) as tx:
            assert not tx.leases.take("list 1", "you", START, end + SECOND)
            assert not tx.leases.take("list 1", "you", end, end + SECOND)
            assert tx.leases.held("list 1", "me")
            assert not tx.leases.held("list 1", "you")
            assert tx.leases.take("list 2", "you", START, end)
            assert tx.leases.take("list 1", "me", end, end + 10 * SECOND), "the holder renews it"
            assert not tx.leases.take("list 1", "you", end + SECOND, end + 20 * SECOND)
        with driver.committing(storage) as tx:
            late = end + 10 * SECOND
            assert not tx.leases.take("list 1", "you", late, late + SECOND)
            assert tx.leases.held("list 1", "me"), "nobody took it since"
            late += MICROSECOND
            assert tx.leases.take("list 1", "you", late, late + SECOND)
            assert tx.leases.held("list 1", "you")
            assert not tx.leases.held("list 1", "me")
        with storage.begin(write=False) as tx:
            assert not tx.leases.held("list 1", "me")

    def test_a_lease_is_given_back_by_its_holder_alone(self, storage: Storage) -> None:
        with driver.committing(storage) as tx:
            tx.leases.take("list 1", "me", START, FAR)
            for other in ("you", "mE"):
                tx.leases.release("list 1", other)
        with storage.begin() as tx:
            assert tx.leases.held("list 1", "me")
            tx.leases.release("list 1", "me")
            assert not tx.leases.held("list 1", "me")
            assert tx.leases.take("list 1", "you", START, FAR)
        with storage.begin(write=False) as tx:
            assert tx.leases.held("list 1", "me"), "the transaction was not committed"
