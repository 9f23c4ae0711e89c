"""A partner's file of redemptions, reconciled with the record."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from partner_vouchers import Status, UploadProgress
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sql import redemptions
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain import uploads
from partner_vouchers.domain.events import (
    CodeRedeemed,
    CodeRedeemedUndistributed,
    RedemptionsReconciled,
    StockExhausted,
)
from partner_vouchers.domain.reconciliation import ReconciliationReport, RowKind
from partner_vouchers.domain.reservation import Reservation
from partner_vouchers.errors import (
    CodesExhausted,
    InvalidInput,
    NotDistributed,
    RedemptionFileRefused,
    ReservationExpired,
    SourceUnreadable,
    UnknownList,
    UnknownPartner,
    UnknownReport,
)
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases import limiting
from tests.support.batches import set_sizes
from tests.support.host import START, FixedClock, Host

HOUR = timedelta(hours=1)


def reconcile(
    host: Host, *rows: str, titles: str = "code,order_id", **options: object
) -> ReconciliationReport:
    content = "\n".join([titles, *rows]).encode()
    described = {"partner": "Puma", "filename": "used.csv", "uploaded_by": "ops", **options}
    if "list_id" in options:
        described["partner"] = None
    return host.vouchers.redemptions.upload(content, **described)  # type: ignore[arg-type]


def kinds(report: ReconciliationReport) -> list[str]:
    return [row.kind.value for row in report.rows]


@pytest.fixture(params=[1, 3, 5_000])
def batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows come in batches of every size."""
    set_sizes(monkeypatch, request.param, request.param)


@pytest.fixture(params=["memory", "sqlite"])
def any_host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "memory":
        yield Host(MemoryStorage(), FixedClock())
        return
    with closing(SQLiteStorage(tmp_path / "v.db", synchronous="NORMAL")) as storage:
        yield Host(storage, FixedClock())


@pytest.mark.every_storage
@pytest.mark.usefixtures("batches")
def test_each_row_says_something_about_the_record(host: Host) -> None:
    found = host.a_list(*"ABCDEFGH", tag="winter")
    host.a_list("TWICE", tag="summer")
    host.a_list("TWICE", tag="spring")
    host.a_list("OTHER", partner="Amazon")
    host.give(found.id, "asha", "ravi", "mina", "zoe")
    add = host.vouchers.redemptions.add
    add("B", "order-2")
    add("C", "order-3")
    host.vouchers.redemptions.revert("C", "order-3")
    rows = [
        ("A,order-1", "recorded"),
        ("B,order-2", "known_already"),
        ("B,order-9", "other_order"),
        ("C,order-3", "reverted"),
        ("no such code,order-5", "unknown_code"),
        ("OTHER,order-6", "unknown_code"),
        ("E,order-7", "never_distributed"),
        ("TWICE,order-8", "ambiguous"),
        (",order-10", "malformed"),
        ("A,order-1", "known_already"),
        ("A,order-11", "other_order"),
        ("E,order-7", "never_distributed"),
        ("D,", "recorded"),
        ("D,order-12", "known_already"),
        ("D,order-13", "other_order"),
    ]
    report = reconcile(host, *(row for row, _ in rows))
    assert kinds(report) == [kind for _, kind in rows]
    assert report.counts == Counter(RowKind(kind) for kind in kinds(report))
    assert (report.total, report.error_count) == (15, 10)
    assert [row.line for row in report.rows] == list(range(2, 17))
    assert (report.started_at, report.finished_at, report.partner) == (START, START, "Puma")
    # Whoever had no order got the one that came later.
    used = [each.code for each in host.vouchers.codes.assignments(found.id) if each.redeemed_at is not None]
    assert used == ["A", "B", "D"]
    assert add("D", "order-12").order_id == "order-12"
    # The leaked code is retired at once, and told once.
    [leaked] = host.events(CodeRedeemedUndistributed)
    assert (leaked.list_id, leaked.order_id, leaked.report_id) == (found.id, "order-7", report.id)
    assert host.give(found.id, "five", "six", "seven") == ["F", "G", "H"]


@pytest.mark.every_storage
@pytest.mark.usefixtures("batches")
def test_the_same_file_twice_changes_nothing(host: Host) -> None:
    found = host.a_list(*"ABCD")
    host.give(found.id, "asha", "ravi")
    rows = ("A,order-1", "B,", "C,order-3", "no,order-4", "A,order-9", ",")
    first = reconcile(host, *rows)
    before = host.everything() | {"audit": None}
    second = reconcile(host, *rows)
    assert host.everything() | {"audit": None} == before
    assert first.id != second.id
    assert kinds(first) == ["recorded", "recorded", "never_distributed", "unknown_code", "other_order"]
    assert kinds(second) == ["known_already", "known_already", *kinds(first)[2:]]
    assert len(host.events(CodeRedeemed)) == 2
    assert len(host.events(CodeRedeemedUndistributed)) == 1


@pytest.mark.every_storage
def test_a_file_of_a_list_is_about_that_list(host: Host) -> None:
    one, two = host.a_list("A", "B"), host.a_list("A", "C")
    host.give(one.id, "asha")
    host.give(two.id, "ravi")
    assert kinds(reconcile(host, "A,order-1")) == ["ambiguous"]
    report = reconcile(host, "A,order-1", "C,order-2", list_id=one.id)
    assert kinds(report) == ["recorded", "unknown_code"]
    assert (report.partner, report.list_id) == (None, one.id)
    assert [each.redeemed_at is not None for each in host.vouchers.codes.holders("A")] == [True, False]


@pytest.mark.every_storage
def test_a_file_of_an_archived_list_is_about_that_list(host: Host) -> None:
    old = host.a_list("A", "B", tag="winter")
    host.give(old.id, "asha")
    host.vouchers.lists.archive(old.id)
    # It takes over the place of the first code.
    new = host.a_list("A", "C", tag="winter")
    host.give(new.id, "ravi", "mina")
    report = reconcile(host, "A,order-1", "C,order-2", list_id=old.id)
    assert kinds(report) == ["recorded", "unknown_code"]
    assert [each.user_id for each in host.vouchers.codes.holders("A") if each.redeemed_at] == ["asha"]


@pytest.mark.every_storage
def test_a_code_of_several_lists_is_not_taken_for_one_of_another_list(host: Host) -> None:
    """The ids of the lists and of the places in them add up to those of the third list."""
    for tag in ("winter", "summer"):
        host.give(host.a_list("TWICE", tag=tag).id, "asha")
    third = host.a_list(*"ABCDEFGH", tag="spring")
    host.give(third.id, *"abcdefgh")
    assert kinds(reconcile(host, "TWICE,order-1")) == ["ambiguous"]
    assert not host.events(CodeRedeemed)


@pytest.mark.every_storage
def test_a_code_used_at_the_very_expiry_of_its_list_is_not_late(host: Host) -> None:
    expiry = START + HOUR
    found = host.a_list("A", "B", expires_at=expiry)
    host.give(found.id, "asha", "ravi")
    rows = [f"A,{expiry.isoformat()}", f"B,{(expiry + timedelta(seconds=1)).isoformat()}"]
    reconcile(host, *rows, titles="code,redeemed_at")
    assert [event.late for event in host.events(CodeRedeemed)] == [False, True]


def test_times_are_read_in_a_zone(host: Host) -> None:
    found = host.a_list(*"ABCDEFGH", expires_at=START + 2 * HOUR)
    host.give(found.id, *"abcdefgh")
    report = reconcile(
        host,
        "A,2026-11-21T10:00:00",
        "B,2026-11-21 10:00:00+00:00",
        "C,2026-11-21",
        "D,",
        "E,yesterday",
        "F,2026-11-22T17:30:01",
        "G,2026-11-21T19:30:00.5",
        "H,0001-01-01",
        titles="code,redeemed_at",
        zone=ZoneInfo("Asia/Kolkata"),
    )
    assert kinds(report) == [*["recorded"] * 4, "malformed", "malformed", "recorded", "malformed"]
    assert [row.message for row in report.rows if row.kind is RowKind.MALFORMED] == [
        "redeemed_at is no time in ISO 8601, such as 2026-03-31T23:59:59+01:00",
        "redeemed_at: 2026-11-22T12:00:01+00:00 is more than 24 hours in the future",
        "redeemed_at: must lie within the years 1 to 9999 in UTC",
    ]
    used = {each.code: each.redeemed_at for each in host.vouchers.codes.assignments(found.id)}
    assert used == {
        "A": datetime(2026, 11, 21, 4, 30, tzinfo=UTC),
        "B": datetime(2026, 11, 21, 10, tzinfo=UTC),
        "C": datetime(2026, 11, 20, 18, 30, tzinfo=UTC),
        "D": START,
        "E": None,
        "F": None,
        "G": START + 2 * HOUR + timedelta(seconds=0.5),
        "H": None,
    }
    assert {event.late for event in host.events(CodeRedeemed) if event.redeemed_at > START + 2 * HOUR} == {
        True
    }


def test_amounts_are_read(host: Host) -> None:
    host.give(host.a_list(*"ABCDEFGH").id, *"abcdefgh")
    amounts = ["9.90", "0", "", "-1", '"9,90"', "1_000", "1e999", "0" * 1_000 + "1"]
    rows = [f"{code},{amount}" for code, amount in zip("ABCDEFGH", amounts, strict=True)]
    report = reconcile(host, *rows, titles="code,amount")
    assert kinds(report) == [*["recorded"] * 3, *["malformed"] * 5]
    assert [event.amount for event in host.events(CodeRedeemed)] == ["9.90", "0", None]
    assert host.vouchers.redemptions.add("A", "order-1").amount == Decimal("9.90")


@pytest.mark.parametrize("status", [Status.PAUSED, Status.EXPIRED, Status.ARCHIVED])
def test_the_status_of_the_list_does_not_matter(host: Host, status: Status) -> None:
    found = host.a_list("A", "B")
    host.give(found.id, "asha")
    host.bring(found.id, status)
    report = reconcile(host, "A,order-1", "B,order-2")
    assert kinds(report) == ["recorded", "never_distributed"]
    counts = host.vouchers.lists.get(found.id)
    assert (counts.uploaded, counts.available, counts.distributed) == (2, 0, 1)


@pytest.mark.usefixtures("batches")
def test_revoked_and_restocked_codes(host: Host) -> None:
    found = host.a_list(*"ABCD")
    given = {code: host.vouchers.codes.assign(list_id=found.id, user_id=f"user-{code}").id for code in "ABCD"}
    host.vouchers.redemptions.add("C", "order-3")
    for code in "AC":
        host.vouchers.codes.revoke(given[code])
    host.vouchers.codes.revoke(given["B"], restock=True, force=True)
    rows = ("A,order-1", "B,order-2", "C,order-3", "C,order-4", "D,order-5")
    report = reconcile(host, *rows)
    assert kinds(report) == ["revoked", "never_distributed", "known_already", "other_order", "recorded"]
    assert report.counts[RowKind.REVOKED] == 1
    with pytest.raises(NotDistributed):
        host.vouchers.redemptions.add("A", "order-1")
    assert host.vouchers.redemptions.add("C", "order-3").assignment_id == given["C"]
    # The restocked code leaked, so it is never given again.
    with pytest.raises(CodesExhausted):
        host.give(found.id, "zoe")
    with host.storage.begin(write=False) as tx:
        counts = tx.codes.counts(found.id)
    assert (counts.available, counts.distributed, counts.retired) == (0, 1, 3)


def test_a_reserved_code_is_left_alone_until_its_reservation_runs_out(host: Host) -> None:
    found = host.a_list("A", "B")
    reserved = host.vouchers.codes.reserve(list_id=found.id, user_id="asha", ttl=HOUR)
    assert kinds(reconcile(host, "A,order-1")) == ["reserved"]
    assert host.vouchers.codes.reservations(list_id=found.id)[0].id == reserved.id
    host.clock.advance(hours=1)
    assert kinds(reconcile(host, "A,order-1")) == ["never_distributed"]
    assert host.give(found.id, "ravi") == ["B"]
    with pytest.raises(ReservationExpired):
        host.vouchers.codes.confirm(reserved.id)


def test_reservations_that_have_run_out_end_a_few_in_each_transaction(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "RUN_OUT_AT_ONCE", 2)
    found = host.a_list(*"ABCDEF")
    for user_id in "abcde":
        host.vouchers.codes.reserve(list_id=found.id, user_id=user_id, ttl=HOUR)
    host.clock.advance(hours=1)
    ended: list[int] = []
    uncount = limiting.uncount_reservations

    def observe(tx: Transaction, reservations: Sequence[Reservation]) -> None:
        ended.append(len(reservations))
        uncount(tx, reservations)

    monkeypatch.setattr(limiting, "uncount_reservations", observe)
    assert kinds(reconcile(host, "A,order-1", "B,order-2")) == ["never_distributed"] * 2
    assert ended == [2, 2, 1]
    assert host.left(found.id) == list("CDEF")


def test_a_reconciliation_does_not_wait_for_reservations_that_others_are_ending(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.a_list("A", "B")
    host.vouchers.codes.reserve(list_id=found.id, user_id="asha", ttl=HOUR)
    host.clock.advance(hours=1)
    asked: list[str] = []

    def end_none(_tx: Transaction, list_id: str, _codes: int, _now: datetime) -> int:
        asked.append(list_id)
        assert len(asked) < 9, "it goes on for ever"
        return 0

    monkeypatch.setattr(limiting, "end_run_out", end_none)
    assert kinds(reconcile(host, "A,order-1")) == ["reserved"]
    assert asked == [found.id]


@pytest.mark.parametrize("any_host", ["sqlite"], indirect=True)
def test_a_page_of_a_report_reads_little_more_than_its_rows(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, 1, 1)
    read: list[str] = []

    def loads(text: str) -> object:
        read.append(text)
        return json.loads(text)

    any_host.give(any_host.a_list(*"AB").id, "asha")
    report = reconcile(any_host, *("A,order-1", "X,order-2", "B,order-3") * 10)
    rows = any_host.vouchers.redemptions.report(report.id).rows
    assert [row.line for row in rows] == list(range(2, 32))
    monkeypatch.setattr(redemptions, "json", SimpleNamespace(loads=loads, dumps=json.dumps))
    for limit in (1, 2, 7, 29, 30, 31):
        for after in (0, 2, 5):
            read.clear()
            page = any_host.vouchers.redemptions.report(report.id, after_line=after, limit=limit).rows
            assert page == tuple(row for row in rows if row.line > after)[:limit]
            assert len(read) == len(page)


def test_a_restocked_code_is_redeemed_by_its_new_holder(host: Host) -> None:
    found = host.a_list("A")
    first = host.vouchers.codes.assign(list_id=found.id, user_id="asha")
    host.vouchers.codes.revoke(first.id, restock=True, force=True)
    second = host.vouchers.codes.assign(list_id=found.id, user_id="ravi")
    assert kinds(reconcile(host, "A,order-1")) == ["recorded"]
    assert {each.id: each.redeemed_at for each in host.vouchers.codes.holders("A")} == {
        first.id: None,
        second.id: START,
    }


def test_a_leak_counts_as_used_stock(host: Host) -> None:
    found = host.a_list("A", "B")
    host.give(found.id, "asha")
    reconcile(host, "B,order-1")
    assert [event.list_id for event in host.events(StockExhausted)] == [found.id]


def test_the_report_is_read_again_in_pages(host: Host) -> None:
    host.give(host.a_list(*"ABC").id, *"abc")
    report = reconcile(host, "A,1", "x,2", "B,3", "y,4", "C,5")
    read = host.vouchers.redemptions.report
    assert read(report.id) == report
    assert [row.code for row in read(report.id, after_line=3, limit=2).rows] == ["B", "y"]
    assert [row.code for row in read(report.id, kinds=[RowKind.UNKNOWN_CODE]).rows] == ["x", "y"]
    assert read(report.id, kinds=[]).rows == ()
    for wrong in ("77", "no id", ""):
        with pytest.raises(UnknownReport):
            read(wrong)
        with pytest.raises(UnknownReport):
            host.vouchers.redemptions.error_file(wrong)
    with pytest.raises(InvalidInput):
        read(report.id, kinds=["no kind"])  # type: ignore[list-item]


def test_the_error_file_is_corrected_and_uploaded_again(host: Host) -> None:
    host.give(host.a_list("A", "B", "C").id, *"abc")
    report = reconcile(host, "A,1,2026-11-20", "b,2,", "C,3,soon", titles="Coupon,Order ID,Redeemed At")
    stream = host.vouchers.redemptions.error_file(report.id, actor="the clerk")
    content = stream.read().decode()
    assert [line.split(",")[:4] for line in content.splitlines()] == [
        ["line", "code", "redeemed_at", "order_id"],
        ["3", "b", "", "2"],
        ["4", "C", "soon", "3"],
    ]
    [entry] = host.vouchers.audit.entries(actor="the clerk")
    assert entry.event.event_name == "codes.downloaded"
    corrected = content.replace(",b,", ",B,").replace(",soon,", ",2026-11-20,").encode()
    again = host.vouchers.redemptions.upload(
        corrected, partner="Puma", filename="errors.csv", uploaded_by="ops"
    )
    assert kinds(again) == ["recorded", "recorded"]


def test_a_reconciliation_is_audited(host: Host) -> None:
    host.give(host.a_list("A").id, "asha")
    report = reconcile(host, "A,1", uploaded_by="clerk")
    [entry] = host.vouchers.audit.entries(actor="clerk")
    assert isinstance(entry.event, RedemptionsReconciled)
    assert {change.field: change.after for change in entry.event.changes} == {
        "report": report.id,
        "recorded": 1,
    }


def test_a_file_comes_as_a_path_bytes_or_a_stream(host: Host, tmp_path: Path) -> None:
    host.give(host.a_list(*"ABC").id, *"abc")
    path = tmp_path / "used.csv"
    path.write_bytes(b"code\nA\n")
    upload = host.vouchers.redemptions.upload
    assert kinds(upload(path, partner="Puma", uploaded_by="ops")) == ["recorded"]
    assert kinds(upload(BytesIO(b"code\nB\n"), partner="Puma", filename="x", uploaded_by="ops")) == [
        "recorded"
    ]
    with tempfile.TemporaryFile() as stream:
        stream.write("code;note\nC;ü\n".encode("utf-16"))
        stream.seek(0)
        report = upload(stream, partner="Puma", filename="x.csv", uploaded_by="ops")
    assert kinds(report) == ["recorded"]
    with pytest.raises(SourceUnreadable):
        upload(tmp_path / "missing.csv", partner="Puma", uploaded_by="ops")


def test_a_file_that_is_refused_changes_nothing(host: Host) -> None:
    host.give(host.a_list("A").id, "asha")
    with host.nothing_changes(), pytest.raises(RedemptionFileRefused) as refused:
        host.vouchers.redemptions.upload(
            b'code\nA\n"B\n', partner="Puma", filename="used.csv", uploaded_by="ops"
        )
    assert refused.value.kind == "broken_quoting"


def test_a_file_has_a_largest_size(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 800)
    host.a_list("A")
    with pytest.raises(RedemptionFileRefused) as refused:
        reconcile(host, *["x"] * 500)
    assert refused.value.kind == "too_large"


@pytest.mark.parametrize(
    "about, error",
    [
        ({"partner": "Nike"}, UnknownPartner),
        ({"list_id": "77"}, UnknownList),
        ({"partner": None}, InvalidInput),
        ({"encoding": "no encoding"}, InvalidInput),
    ],
    ids=str,
)
def test_a_file_is_about_one_partner_or_one_list(
    host: Host, about: dict[str, Any], error: type[Exception]
) -> None:
    with host.nothing_changes(), pytest.raises(error):
        reconcile(host, "A,1", **about)


@pytest.mark.parametrize("span", [2, 50_000])
@pytest.mark.parametrize("codes", ["ABCDEF", "FCEBDA"])
def test_an_upload_that_was_ended_is_finished_by_the_same_file(
    any_host: Host, codes: str, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = any_host
    set_sizes(monkeypatch, 2, span)
    host.give(host.a_list(*"ABCDEF").id, *"abcdef")
    seen: list[UploadProgress] = []
    rows = [f"{code},{code}" for code in codes]

    def stop(progress: UploadProgress) -> None:
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconcile(host, *rows, progress=stop)
    assert [each.rows for each in seen] == [2, 4]
    assert len(host.events(CodeRedeemed)) == 4
    # The same file again goes on where the other one ended, in the same report.
    report = reconcile(host, *rows)
    assert report.counts == {RowKind.RECORDED: 6}
    assert [row.code for row in report.rows] == list(codes)
    assert report.started_at == START
    assert len(host.events(CodeRedeemed)) == 6


@pytest.mark.parametrize("span", [3, 50_000])
def test_an_upload_ends_alike_wherever_it_was_broken_off(
    any_host: Host, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, 1, span)
    rows = ("B,1,", "X,2,", "A,3,", "A,4,", "C,5,much", "D,6,9.90", "X,7,", "C,8,")

    def run(list_id: str, stop_at: int | None = None) -> tuple[list[tuple[int, str]], list[int]]:
        done = list[int]()

        def note(progress: UploadProgress) -> None:
            done.append(progress.rows)
            if len(done) == stop_at:
                raise KeyboardInterrupt

        report = reconcile(any_host, *rows, titles="code,order_id,amount", list_id=list_id, progress=note)
        return [(row.line, row.kind.value) for row in report.rows], done

    def a_list() -> str:
        found = any_host.a_list(*"ABCDE")
        any_host.give(found.id, *"abc")
        return found.id

    expected, done = run(a_list())
    assert [kind for _, kind in expected] == [
        "recorded",
        "unknown_code",
        "recorded",
        "other_order",
        "malformed",
        "never_distributed",
        "unknown_code",
        "recorded",
    ]
    assert (sorted(done), done[-1]) == (done, len(rows))
    for stop_at in range(1, len(done) + 1):
        list_id = a_list()
        with pytest.raises(KeyboardInterrupt):
            run(list_id, stop_at)
        found, done_then = run(list_id)
        assert (found, done_then[-1:]) == (expected, [len(rows)] if done_then else [])


def test_what_changes_during_an_upload_counts(any_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host = any_host
    set_sizes(monkeypatch, 1, 50_000)
    found = host.a_list(*"ABCDE")
    given = [host.vouchers.codes.assign(list_id=found.id, user_id=each) for each in "abcd"]

    def change(_: UploadProgress) -> None:
        if not host.events(CodeRedeemed)[1:]:
            host.vouchers.redemptions.add("B", "at the till")
            host.vouchers.codes.revoke(given[2].id)
            host.give(found.id, "zoe")

    report = reconcile(host, *[f"{code},{code}" for code in "ABCDE"], progress=change)
    assert kinds(report) == ["recorded", "other_order", "revoked", "recorded", "recorded"]
