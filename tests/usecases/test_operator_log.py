"""What the operator of a host finds in the log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import CodesExhausted, NoActiveList, NoCodeAvailable
from partner_vouchers.usecases import transactions
from partner_vouchers.usecases.refusing import SUMMARY_EVERY, RefusalTally
from tests.support.broken_uploads import before_the_codes_were_published, kill
from tests.support.host import EXPIRY, FixedClock, Host

SECRET = "PM500FF-2026"


@pytest.fixture
def host() -> Host:
    return Host(MemoryStorage(), FixedClock())


@pytest.fixture(autouse=True)
def every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="partner_vouchers")


def told(caplog: pytest.LogCaptureFixture, name: str) -> list[tuple[str, str]]:
    return [
        (each.levelname, each.getMessage())
        for each in caplog.records
        if each.name == f"partner_vouchers.{name}"
    ]


def test_an_upload_is_logged_with_its_counts(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    winter = host.a_list()
    host.upload(winter.id, SECRET, f"wrong {SECRET}", SECRET)
    host.upload(winter.id, f"wrong {SECRET}")
    assert told(caplog, "uploads") == [
        ("INFO", "upload 1 to list 1 is Completed: 1 of 3 codes accepted, 2 errors"),
        ("WARNING", "upload 2 to list 1 is Failed: no_valid_code, after 1 rows with 1 errors"),
    ]
    assert SECRET not in caplog.text


def test_refusals_are_summed_up(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    winter = host.a_list(SECRET, campaign="CMP1")
    host.vouchers.codes.assign(campaign_id="CMP1", user_id="ann")
    for user in ("ben", "cleo", "dan"):
        with pytest.raises(CodesExhausted):
            host.vouchers.codes.assign(campaign_id="CMP1", user_id=user)
    host.vouchers.lists.pause(winter.id)
    with pytest.raises(NoActiveList):
        host.vouchers.codes.assign(list_id=winter.id, user_id="ben")
    # One line for the first, and silence for a minute.
    assert told(caplog, "refusals") == [("WARNING", "refused requests: codes_exhausted 1 (campaign 'CMP1')")]
    for hidden in (SECRET, "ben", "cleo"):
        assert hidden not in caplog.text


def test_what_is_refused_within_a_minute_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tally, start, minute = RefusalTally(), datetime(2026, 11, 28, tzinfo=UTC), SUMMARY_EVERY.total_seconds()
    refusals: list[tuple[float, NoCodeAvailable]] = [
        (0, CodesExhausted(campaign_id="A", lists=())),
        (1, CodesExhausted(campaign_id="A", lists=())),
        (2, CodesExhausted(campaign_id="B", lists=())),
        (3, NoActiveList(campaign_id=None, lists=())),
        (minute - 1, CodesExhausted(campaign_id="A", lists=())),
        (minute, CodesExhausted(campaign_id="A", lists=())),
        (minute + 1, CodesExhausted(campaign_id="A", lists=())),
    ]
    for seconds, refused in refusals:
        tally.add(refused.campaign_id, refused, start + timedelta(seconds=seconds))
    assert [message for _, message in told(caplog, "refusals")] == [
        "refused requests: codes_exhausted 1 (campaign 'A')",
        "refused requests: codes_exhausted 3 (campaign 'A'), codes_exhausted 1 (campaign 'B'), no_active_list 1",
    ]
    # What is asked of a list is logged only.
    assert [refused[0] for refused, _ in tally.pending] == ["A", "A", "B", "A", "A", "A"]


def test_a_refusal_is_logged_after_the_clock_went_back(caplog: pytest.LogCaptureFixture) -> None:
    tally, now = RefusalTally(), datetime(2026, 11, 28, tzinfo=UTC)
    for hours in (0, -1):
        tally.add("A", CodesExhausted(campaign_id="A", lists=()), now + timedelta(hours=hours))
    assert len(told(caplog, "refusals")) == 2


def test_a_slow_call_is_logged_by_its_name(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    winter = host.a_list(SECRET)
    assert told(caplog, "calls") == []
    assert transactions.SLOW == 1.0
    monkeypatch.setattr(transactions, "SLOW", 0.0)
    host.give(winter.id, "ann")
    host.vouchers.partners.add("Nike")
    b"".join(host.vouchers.codes.export(winter.id, actor="ops"))
    assert list(host.vouchers.codes.assignments(winter.id))
    assert host.vouchers.audit.entries()
    host.vouchers.lists.ensure(partner="Nike", tag="x", name="X", expires_at=EXPIRY)
    assert [message.partition(" took")[0] for _, message in told(caplog, "calls")] == [
        "codes.assign",
        "partners.add",
        "codes.export",
        "codes.export",
        "codes.assignments",
        "codes.assignments",
        "codes.assignments",
        "audit.entries",
        "lists.ensure",
    ]
    assert {level for level, _ in told(caplog, "calls")} == {"WARNING"}
    assert SECRET not in caplog.text


def test_an_assignment_is_not_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    winter = host.a_list("A", "B")
    caplog.clear()
    host.give(winter.id, "ann", "ben")
    assert caplog.records == []


def test_a_recovered_upload_is_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    winter = host.a_list()
    kill(host, before_the_codes_were_published, winter.id, "A", "B")
    host.clock.advance(days=1)
    caplog.clear()
    (recovered,) = host.vouchers.uploads.recover()
    assert told(caplog, "uploads") == [
        ("INFO", f"upload {recovered.id} to list {winter.id} is Completed: 2 of 2 codes accepted, 0 errors"),
        ("INFO", f"recovered upload {recovered.id} of list {winter.id}: it is Completed"),
    ]
