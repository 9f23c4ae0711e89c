"""The contract of sinks finds what is wrong with one, by the test that is named for it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.testing import EventSinkContract, RecordingSink
from partner_vouchers.testing.sinks import SECRET_CODE
from tests.testing.test_fakes import TestFailingSink as WithFailingSink

pytestmark = pytest.mark.usefixtures("no_shrinking")

PASSCODE = "c0ffee-passcode"


class Nameless(RecordingSink):
    def __init__(self) -> None:
        super().__init__("")


class Dropping(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return super().send(entries[:-1])


class Backward(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return super().send(entries[::-1])


class Deduplicating(RecordingSink):
    """Takes a repeat for an error."""

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return [
            Rejection(entry.id, "sent before") for entry in entries if entry.id in self.ids
        ] or super().send(entries)


class Changing(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        if isinstance(entries, list):
            entries.reverse()
            entries.pop()
        return ()


class NamingPositions(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        known = [entry for entry in entries if isinstance(entry.event, VoucherRewarded)]
        super().send(known)
        return [Rejection(str(entry.position), "of no use") for entry in entries if entry not in known]


class OneAtATime(RecordingSink):
    """Says that it bears four calls at once, and keeps the last."""

    def __init__(self) -> None:
        super().__init__(concurrency=4)

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        self.batches.clear()
        return super().send(entries)


class Raw(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        raise OSError("no route to host")


class Talkative(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        raise SinkUnavailable(
            sink=self.name, reason=f"HTTP 503 for {entries[0].event.__class__} {SECRET_CODE}"
        )


class Silent(RecordingSink):
    """Says nothing of what it does not take."""


class Logging(RecordingSink):
    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        logging.getLogger("sink").debug("sending with %s", PASSCODE)
        return super().send(entries)


class Printing(RecordingSink):
    def __repr__(self) -> str:
        return f"Printing(passcode={PASSCODE!r})"


SABOTAGED: list[tuple[str, Callable[[], RecordingSink], str]] = [
    ("new_sink", Nameless, "test_a_sink_tells_its_name_and_its_limits"),
    ("new_sink", Dropping, "test_a_batch_reaches_the_receiver_in_order"),
    ("new_sink", Backward, "test_a_batch_reaches_the_receiver_in_order"),
    ("new_sink", Deduplicating, "test_a_batch_that_is_sent_again_is_taken_again"),
    ("new_sink", Changing, "test_events_are_left_as_they_are"),
    ("new_sink", NamingPositions, "test_any_event_is_taken_or_rejected_by_its_id"),
    ("new_sink", OneAtATime, "test_calls_at_the_same_time_reach_the_receiver"),
    ("unavailable_sink", Raw, "test_an_outage_is_told_as_one"),
    ("unavailable_sink", Talkative, "test_an_outage_is_told_as_one"),
    ("rejecting_sink", Silent, "test_a_rejection_names_the_event_that_was_not_taken"),
    ("new_sink", Logging, "test_codes_and_credentials_are_not_logged"),
    ("new_sink", Printing, "test_codes_and_credentials_are_not_logged"),
]


@pytest.mark.parametrize("hook, sink, named_test", SABOTAGED)
def test_the_test_named_for_a_fault_finds_it(
    hook: str,
    sink: Callable[[], RecordingSink],
    named_test: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(contract: EventSinkContract) -> None:
        place = tmp_path / type(contract).__name__
        place.mkdir()
        known: dict[str, Any] = {"tmp_path": place, "caplog": caplog, "capfd": capfd}
        test = getattr(contract, named_test)
        test(**{name: known[name] for name in inspect.signature(test).parameters})

    hooks: dict[str, Any] = {"credentials": lambda self: (PASSCODE,)}
    run(type("Sound", (WithFailingSink,), hooks)())
    sabotaged = type("Sabotaged", (WithFailingSink,), {**hooks, hook: lambda self, place: sink()})
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(sabotaged())
