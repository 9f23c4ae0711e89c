"""The contract of a sink."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest

from partner_vouchers.domain.assignment import Source
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import PartnerVouchersError, SinkUnavailable
from partner_vouchers.ports import EventSink, OutboxEntry
from partner_vouchers.testing import strategies, workers
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import Contract, UnsupportedHook, for_all, missing, require_hook

SECRET_CODE = "SECRET-CODE-7Q4"
"""The voucher code of all events here, in full. It may reach the receiver, and nothing else."""

UNWANTED = "unwanted-user"
"""The user whose events the receiver of `rejecting_sink` refuses."""


def entry(position: int, event: Event | None = None, user_id: str | None = None) -> OutboxEntry:
    """Return an entry of the outbox: an assignment, where no other event is given."""
    return OutboxEntry(f"storage-{position}", position, event or rewarded(user_id or f"user-{position}"))


def rewarded(user_id: str) -> VoucherRewarded:
    """Return the event of an assignment."""
    return VoucherRewarded(
        occurred_at=START,
        user_id=user_id,
        campaign_id="CMP1",
        source=Source.CAMPAIGN.value,
        voucher_code=SECRET_CODE,
        list_id="7",
        list_tag="winter",
        list_name="Winter Sale",
        list_description="₹500 off",
        list_expiry=FAR,
        partner="Puma",
    )


class EventSinkContract(Contract):
    """The tests that every sink passes. Subclass it as `Test…` and implement the hooks.

    `new_sink` is required. Each of the other hooks either does what it says or returns `unsupported("why not")`. A hook
    that is neither implemented nor declared fails the tests that need it.
    """

    def new_sink(self, place: Path) -> EventSink:
        """Return a sink whose receiver takes everything.

        Args:
            place: an empty directory.
        """
        missing(self, "new_sink", "place", "MySink(...)")

    def received(self, sink: EventSink, place: Path) -> Sequence[str] | UnsupportedHook:
        """Return what the receiver of a sink got: for each event, in order, a string that contains the id of its user.

        Args:
            sink: the sink, as `new_sink` made it.
            place: where it was made.
        """
        missing(self, "received", "sink, place")

    def unavailable_sink(self, place: Path) -> EventSink | UnsupportedHook:
        """Return a sink whose receiver cannot be reached.

        Args:
            place: an empty directory.
        """
        missing(self, "unavailable_sink", "place")

    def rejecting_sink(self, place: Path) -> EventSink | UnsupportedHook:
        """Return a sink whose receiver refuses the events of the user `sinks.UNWANTED`, and takes all others.

        Args:
            place: an empty directory.
        """
        missing(self, "rejecting_sink", "place")

    def credentials(self) -> Sequence[str]:
        """Return the passwords and keys with which the sinks of these hooks are made; none by default."""
        return ()

    def close(self, sink: EventSink) -> None:
        """Let go of a sink. By default its `close()` is called, where it has one."""
        close = getattr(sink, "close", None)
        if close is not None:
            close()

    # --- the tests ---

    @pytest.fixture
    def sink(self, tmp_path: Path) -> Iterator[EventSink]:
        """A new sink for one test."""
        made = self.new_sink(tmp_path)
        yield made
        self.close(made)

    def test_a_sink_tells_its_name_and_its_limits(self, sink: EventSink) -> None:
        """The name is a string and does not change; at least one event and one call are taken."""
        assert isinstance(sink.name, str)
        assert sink.name.strip() == sink.name != ""
        assert sink.batch_size >= 1
        assert sink.concurrency >= 1

    def test_a_batch_reaches_the_receiver_in_order(self, sink: EventSink, tmp_path: Path) -> None:
        """A batch of the full size, or of fifty, is taken whole."""
        batch = [entry(position) for position in range(1, min(sink.batch_size, 50) + 1)]
        assert not sink.send(batch)
        self._require_received(sink, tmp_path, batch)

    def test_a_batch_that_is_sent_again_is_taken_again(self, sink: EventSink) -> None:
        """A repeat is no error: delivery is at least once."""
        assert not sink.send([entry(1)])
        assert not sink.send([entry(1)])

    def test_events_are_left_as_they_are(self, sink: EventSink) -> None:
        """Neither the batch nor its events are changed."""
        batch = [entry(position) for position in range(1, min(sink.batch_size, 3) + 1)]
        before = deepcopy(batch)
        sink.send(batch)
        assert batch == before

    def test_any_event_is_taken_or_rejected_by_its_id(self, sink: EventSink) -> None:
        """Any event is taken, or rejected once by its id and with a reason."""

        @for_all(strategies.stored_events() | strategies.rewarded_events())
        def check(event: Event) -> None:
            for rejection in sink.send([entry(1, event)]):
                assert rejection.id == "storage-1"
                assert rejection.reason.strip()
                assert rejection.final, (
                    "the receiver takes everything: another try of what it cannot be told is vain"
                )

        check()

    def test_calls_at_the_same_time_reach_the_receiver(self, sink: EventSink, tmp_path: Path) -> None:
        """As many calls at once as the sink says that it bears."""
        calls = min(sink.concurrency, 8)
        sent = [entry(position) for position in range(1, calls + 1)]
        assert not any(workers.at_once([partial(sink.send, [each]) for each in sent]))
        found = self.received(sink, tmp_path)
        if not isinstance(found, UnsupportedHook):
            assert len(found) == calls
            for each in sent:
                assert any(_user(each) in text for text in found)

    def test_an_outage_is_told_as_one(self, tmp_path: Path) -> None:
        """`SinkUnavailable` names the sink, and nothing secret."""
        sink = require_hook(self.unavailable_sink(tmp_path))
        with pytest.raises(SinkUnavailable) as outage:
            sink.send([entry(1)])
        assert outage.value.sink == sink.name
        self._require_secrecy(str(outage.value), repr(outage.value))
        self.close(sink)

    def test_a_rejection_names_the_event_that_was_not_taken(self, tmp_path: Path) -> None:
        """The others of the batch are taken."""
        sink = require_hook(self.rejecting_sink(tmp_path))
        batch = [entry(1), entry(2, user_id=UNWANTED), entry(3)][: sink.batch_size]
        if sink.batch_size < 3:
            batch = [entry(2, user_id=UNWANTED)]
        rejections = sink.send(batch)
        assert [rejection.id for rejection in rejections] == ["storage-2"]
        assert rejections[0].reason.strip()
        self._require_secrecy(*(rejection.reason for rejection in rejections))
        self._require_received(sink, tmp_path, [each for each in batch if _user(each) != UNWANTED])
        self.close(sink)

    def test_codes_and_credentials_are_not_logged(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Neither a log line nor the output nor the repr of the sink shows a voucher code or a credential in full."""
        (tmp_path / "new").mkdir()
        made = [self.new_sink(tmp_path / "new")]
        for number, hook in enumerate((self.unavailable_sink, self.rejecting_sink)):
            (tmp_path / str(number)).mkdir()
            found = hook(tmp_path / str(number))
            if not isinstance(found, UnsupportedHook):
                made.append(found)
        with caplog.at_level("DEBUG"):
            for sink in made:
                try:
                    sink.send([entry(1), entry(2, user_id=UNWANTED)][: sink.batch_size])
                except PartnerVouchersError as error:
                    self._require_secrecy(str(error), repr(error))
                self._require_secrecy(repr(sink), str(sink))
                self.close(sink)
        self._require_secrecy(caplog.text, *map(repr, caplog.records), *capfd.readouterr())

    def _require_received(self, sink: EventSink, place: Path, batch: Sequence[OutboxEntry]) -> None:
        found = self.received(sink, place)
        if isinstance(found, UnsupportedHook):
            return
        assert len(found) == len(batch)
        for text, each in zip(found, batch, strict=True):
            assert _user(each) in text

    def _require_secrecy(self, *texts: str) -> None:
        for text in texts:
            assert SECRET_CODE not in text, "a voucher code is shown in full"
            for credential in self.credentials():
                assert credential not in text, "a credential is shown in full"


def _user(each: OutboxEntry) -> str:
    assert isinstance(each.event, VoucherRewarded)
    return each.event.user_id
