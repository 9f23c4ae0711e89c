from __future__ import annotations

from datetime import UTC, timedelta, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.reconciliation import (
    ERROR_KINDS,
    ROW_KINDS,
    ReconciledRow,
    ReconciliationReport,
    RowKind,
    alarm,
    read_amount,
    read_cells,
    read_code,
    read_order,
    read_time,
    reconciled,
)
from partner_vouchers.domain.redemption import Entry, Redemption
from tests.domain.examples import CODE, NOW, use
from tests.domain.examples import entry as an_entry


def entry(state: str, *redemptions: Redemption, list_id: int = 1, archived: bool = False) -> Entry:
    user_id = "asha" if state in ("held", "revoked") else None
    partner = "Puma" if list_id < 9 else "Amazon"
    return an_entry(list_id, list_id, state, user_id, partner, archived, redemptions)


REVERTED_FIRST = (use("o1", reverted=True), use("o2", number=2))


@pytest.mark.parametrize(
    "found, order_id, kind",
    [
        (entry("held"), "o1", "recorded"),
        (entry("held"), None, "recorded"),
        (entry("held", archived=True), "o1", "recorded"),
        (entry("held", use("o1")), "o1", "known_already"),
        (entry("held", use("o1")), None, "known_already"),
        (entry("held", use(None)), "o1", "known_already"),
        (entry("held", use(None)), None, "known_already"),
        (entry("held", use("o1")), "o2", "other_order"),
        (entry("held", *REVERTED_FIRST), "o2", "known_already"),
        (entry("held", *REVERTED_FIRST), "o1", "reverted"),
        (entry("held", *REVERTED_FIRST), "o3", "other_order"),
        (entry("held", use("o1", reverted=True)), "o1", "reverted"),
        (entry("held", use("o1", reverted=True)), None, "reverted"),
        (entry("held", use("o1", reverted=True)), "o2", "recorded"),
        (entry("available"), "o1", "never_distributed"),
        (entry("available", archived=True), "o1", "never_distributed"),
        (entry("retired"), "o1", "never_distributed"),
        (entry("reserved"), "o1", "reserved"),
        (entry("revoked"), "o1", "revoked"),
        (entry("revoked", use("o1")), "o1", "known_already"),
        (entry("revoked", use("o1", reverted=True)), "o2", "revoked"),
    ],
)
def test_a_row_says_this_about_its_code(found: Entry, order_id: str | None, kind: str) -> None:
    assert reconciled([found], order_id, partner="Puma") == (RowKind(kind), found)


@pytest.mark.parametrize(
    "entries, about, kind",
    [
        ([], {}, "unknown_code"),
        ([entry("held", list_id=9)], {"partner": "Puma"}, "unknown_code"),
        ([entry("held", list_id=2)], {"list_id": "1"}, "unknown_code"),
        ([entry("held"), entry("held", list_id=2)], {}, "ambiguous"),
        ([entry("available"), entry("available", list_id=2)], {}, "ambiguous"),
        ([entry("held"), entry("available", list_id=2)], {}, "recorded"),
        ([entry("held"), entry("held", list_id=9)], {"partner": "Puma"}, "recorded"),
        ([entry("held"), entry("held", list_id=2)], {"list_id": "2"}, "recorded"),
        ([entry("held"), entry("held", list_id=2, archived=True)], {}, "recorded"),
        ([entry("available", archived=True), entry("available", list_id=2)], {}, "never_distributed"),
        ([entry("held", use("o1"), archived=True), entry("held", list_id=2)], {}, "known_already"),
        ([entry("revoked", use("o1")), entry("held", list_id=2)], {}, "known_already"),
        ([entry("held", use("o2"), archived=True), entry("held", list_id=2)], {}, "recorded"),
    ],
)
def test_a_code_of_several_lists_is_narrowed_down(
    entries: list[Entry], about: dict[str, str], kind: str
) -> None:
    assert reconciled(entries, "o1", **about)[0] == kind


def test_every_kind_of_row_is_explained() -> None:
    assert set(ROW_KINDS) == set(RowKind)
    assert set(RowKind) - set(ERROR_KINDS) == {RowKind.RECORDED, RowKind.KNOWN_ALREADY}


CELLS = st.lists(
    st.tuples(
        st.sampled_from(["A", "", "B C", "x" * 201, "x" * 1_001, "\0", "\u00e9"]),
        st.sampled_from(
            [
                "",
                "2026-01-02T03:04:05Z",
                "2026-01-02",
                "2026-01-02 03:04",
                "20260102T0304+05:30",
                "soon",
                "9999-12-31",
            ]
        ),
        st.sampled_from(["", "o1", "o\n2", "x" * 201, "x" * 1_001]),
        st.sampled_from(["", "1.50", "0", "-1", "1e999", "1_0", "\u0663"]),
    ),
    max_size=6,
)


@given(CELLS, st.sampled_from([UTC, ZoneInfo("Asia/Kolkata")]))
def test_cells_are_read_at_once_as_they_are_one_by_one(
    rows: list[tuple[str, str, str, str]], zone: tzinfo
) -> None:
    columns: list[list[str]] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    codes, times, orders, amounts = columns
    found = read_cells(codes, times, orders, amounts, zone, NOW)
    for index, (code, time, order, amount) in enumerate(rows):
        faults = []
        for read in (
            partial(read_code, code),
            partial(read_order, order),
            partial(read_time, time, zone, NOW),
            partial(read_amount, amount),
        ):
            try:
                read()
            except ValueError as error:
                faults.append(str(error))
        assert found.faults.get(index) == (faults[0] if faults else None)
        if not faults:
            assert found.redeemed_at[index] == read_time(time, zone, NOW)
            assert found.order_ids[index] == read_order(order)


def test_the_alarm_names_the_list_and_masks_the_code() -> None:
    event = alarm(entry("available"), CODE, "o1", NOW, "3", NOW)
    assert (event.list_id, event.assignment_id, event.user_id, event.campaign_id) == ("1", None, None, None)
    assert (event.masked_code, event.order_id, event.report_id) == ("PM…", "o1", "3")
    assert event.ordering_key == "list:1"


def test_a_row_shows_no_code() -> None:
    row = ReconciledRow(2, RowKind.MALFORMED, CODE, fault="no time")
    assert CODE not in repr(row)
    assert (row.message, ReconciledRow(3, RowKind.RESERVED, CODE).message) == (
        "no time",
        ROW_KINDS[RowKind.RESERVED],
    )


def test_a_report_adds_up_and_is_audited_without_codes() -> None:
    report = ReconciliationReport(
        id="3",
        partner="Puma",
        list_id=None,
        uploaded_by="ops",
        filename="used.csv",
        sha256="ab",
        started_at=NOW,
        counts={RowKind.RECORDED: 2, RowKind.KNOWN_ALREADY: 3, RowKind.AMBIGUOUS: 4},
    )
    assert (report.total, report.error_count) == (9, 4)
    finished = evolve(report, finished_at=NOW + timedelta(seconds=5))
    assert finished.event.occurred_at == finished.finished_at
    assert {change.field: change.after for change in finished.event.changes} == {
        "report": "3",
        "recorded": 2,
        "known_already": 3,
        "ambiguous": 4,
    }
