"""The contract of sinks finds what is wrong with one, by the test that is named for it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.testing import EventSinkContract, FailingSink
from partner_vouchers.testing.sinks import SECRET_CODE
from tests.support.contracts import WithFailingSink
from tests.testing.sabotage.adapters import FOUND, MISTAKES

pytestmark = pytest.mark.usefixtures("no_shrinking")

PASSCODE = "c0ffee-passcode"


Entries = Sequence[OutboxEntry]
SABOTAGED: list[tuple[str, Callable[[], FailingSink], str]] = []


def sabotaged(named_test: str, hook: str = "new_sink", **options: int) -> Callable[[Any], Any]:
    """Return a decorator that enters a replacement of `send` with the test that must find it."""

    def enter(send: Any) -> Any:
        kind = type(send.__name__.title().replace("_", ""), (FailingSink,), {"send": send})
        SABOTAGED.append((hook, partial(kind, **options), named_test))
        return send

    return enter


_send = FailingSink.send


@sabotaged("test_a_batch_reaches_the_receiver_in_order")
def dropping(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    return _send(self, entries[:-1])


@sabotaged("test_a_batch_reaches_the_receiver_in_order")
def backward(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    return _send(self, entries[::-1])


@sabotaged("test_a_batch_that_is_sent_again_is_taken_again")
def taking_a_repeat_for_an_error(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    again = [Rejection(entry.id, "sent before") for entry in entries if entry.id in self.ids]
    return again or _send(self, entries)


@sabotaged("test_events_are_left_as_they_are")
def changing(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    if isinstance(entries, list):
        entries.reverse()
        entries.pop()
    return ()


@sabotaged("test_any_event_is_taken_or_rejected_by_its_id")
def naming_positions(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    known = [entry for entry in entries if isinstance(entry.event, VoucherRewarded)]
    _send(self, known)
    return [Rejection(str(entry.position), "of no use") for entry in entries if entry not in known]


@sabotaged("test_calls_at_the_same_time_reach_the_receiver", concurrency=4)
def keeping_the_last_of_several_calls(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    self.batches.clear()
    return _send(self, entries)


@sabotaged("test_an_outage_is_told_as_one", "unavailable_sink")
def raw(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    raise OSError("no route to host")


@sabotaged("test_an_outage_is_told_as_one", "unavailable_sink")
def talkative(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    reason = f"HTTP 503 for {entries[0].event.__class__} {SECRET_CODE}"
    raise SinkUnavailable(sink=self.name, reason=reason)


# It says nothing of what it does not take.
sabotaged("test_a_rejection_names_the_event_that_was_not_taken", "rejecting_sink")(_send)


@sabotaged("test_codes_and_credentials_are_not_logged")
def logging_its_passcode(self: FailingSink, entries: Entries) -> Sequence[Rejection]:
    logging.getLogger("sink").debug("sending with %s", PASSCODE)
    return _send(self, entries)


class Printing(FailingSink):
    def __repr__(self) -> str:
        return f"Printing(passcode={PASSCODE!r})"


SABOTAGED += [
    ("new_sink", partial(FailingSink, ""), "test_a_sink_tells_its_name_and_its_limits"),
    ("new_sink", Printing, "test_codes_and_credentials_are_not_logged"),
]


@pytest.mark.parametrize("hook, sink, named_test", SABOTAGED)
def test_the_test_named_for_a_fault_finds_it(
    hook: str,
    sink: Callable[[], FailingSink],
    named_test: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(contract: EventSinkContract) -> None:
        place = tmp_path / type(contract).__name__
        place.mkdir()
        known: dict[str, Any] = {"tmp_path": place, "caplog": caplog, "capfd": capfd}
        known["sink"] = contract.new_sink(place)
        test = getattr(contract, named_test)
        test(**{name: known[name] for name in inspect.signature(test).parameters})

    hooks: dict[str, Any] = {"credentials": lambda self: (PASSCODE,)}
    run(type("Sound", (WithFailingSink,), hooks)())
    faulty = type("Sabotaged", (WithFailingSink,), {**hooks, hook: lambda self, place: sink()})
    with pytest.raises(FOUND) as found:
        run(faulty())
    assert not isinstance(found.value, MISTAKES)
