"""What goes on in other threads while a run delivers: the calls of the sink, and the renewal of its lease."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Generic, TypeVar

from attrs import field, frozen

from partner_vouchers.errors import SinkUnavailable, StorageError
from partner_vouchers.ports import EventSink, OutboxEntry, Rejection, Transaction
from partner_vouchers.usecases.wiring import Wiring

T = TypeVar("T")

LEASE = timedelta(seconds=30)
"""How long an owner may be silent before others take over."""

_RENEW_SECONDS = 8.0

_LONGEST_REASON = 200


@frozen
class Answer:
    """The outcome of a call.

    Attributes:
        rejections: the events that the sink did not take, by id.
        failure: why nothing is known about the batch, or None.
        retry_after: how many seconds the sink asked to wait, or None.
        sender_refused: whether the receiver refuses the sender, so that no event is to blame.
    """

    rejections: dict[str, Rejection] = field(factory=dict)
    failure: str | None = None
    retry_after: float | None = None
    sender_refused: bool = False


def call(sink: EventSink, entries: Sequence[OutboxEntry]) -> Answer:
    """Send a batch to a sink. Whatever it raises is an answer."""
    try:
        # A copy, since what a sink does to its list must not change what becomes of the events.
        return _read(sink.send(list(entries)), entries)
    except SinkUnavailable as error:
        asked = error.retry_after if isinstance(error.retry_after, int | float) else None
        return Answer({}, one_line(error.reason), asked, error.sender_refused is True)
    except Exception as error:  # noqa: BLE001 - a sink may be anybody's code
        # Its message may contain a code or a password; its type cannot.
        return Answer(failure=f"the sink raised {type(error).__name__}")


def _read(found: object, entries: Sequence[OutboxEntry]) -> Answer:
    if not isinstance(found, Sequence) or not all(isinstance(each, Rejection) for each in found):
        return Answer(
            failure="the sink did not return a list of rejections; return an empty one if it took all events"
        )
    rejections = dict[str, Rejection]()
    known = {entry.id for entry in entries} if found else ()
    for rejection in found:
        if rejection.id not in known:
            return Answer(failure="the sink rejected an event that it was not given")
        if rejection.id not in rejections or rejection.final:
            rejections[rejection.id] = rejection
    return Answer(rejections)


def one_line(text: object) -> str:
    """Return a reason as one short line, which any storage can keep."""
    try:
        said = str(text)[:_LONGEST_REASON]
    except Exception:  # noqa: BLE001 - a reason may be anybody's object
        return "no reason given"
    line = "".join(character if character.isprintable() else " " for character in said)
    return line.strip() or "no reason given"


class Calls(Generic[T]):
    """The calls of a sink that are in flight: in this thread if it takes one at a time, else in others."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._pool: ThreadPoolExecutor | None = None
        self._in_flight: dict[Future[Answer], T] = {}
        self._answered: list[tuple[T, Answer]] = []

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._answered)

    def start(self, entries: Sequence[OutboxEntry], subject: T) -> None:
        """Start a call; if the sink takes one at a time, make it."""
        if self._sink.concurrency == 1:
            self._answered.append((subject, call(self._sink, entries)))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._sink.concurrency, "partner_vouchers delivery")
        self._in_flight[self._pool.submit(call, self._sink, entries)] = subject

    def collect(self) -> list[tuple[T, Answer]]:
        """Wait for an answer, and return all answers that have arrived.

        What a call raised that is no answer, such as KeyboardInterrupt, is raised once there are no other answers.
        """
        if self._in_flight:
            wait(self._in_flight, return_when=FIRST_COMPLETED)
        done = [future for future in self._in_flight if future.done()]
        done = [future for future in done if future.exception() is None] or done
        answered, self._answered = self._answered, []
        return answered + [(self._in_flight.pop(future), future.result()) for future in done]

    def close(self) -> None:
        """Wait for all calls to end; their answers are lost."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class SinkLease:
    """The lease on a sink. Only its owner sends to it."""

    def __init__(self, wiring: Wiring, sink: str) -> None:
        self._wiring = wiring
        self._name = f"deliver:{sink}"
        self._owner = wiring.new_token()
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self, tx: Transaction) -> bool:
        """Take or renew the lease; return False if another process has it."""
        now = self._wiring.now()
        return tx.leases.take(self._name, self._owner, now, now + LEASE)

    def is_ours(self, tx: Transaction) -> bool:
        """Return whether no other process has taken over."""
        return tx.leases.held(self._name, self._owner)

    def release(self, tx: Transaction) -> None:
        """Release the lease, if it is ours."""
        tx.leases.release(self._name, self._owner)

    def keep(self) -> None:
        """Renew the lease from now on, in another thread, however long the sink takes."""
        if self._renewing is None:
            self._renewing = threading.Thread(
                target=self._renew_until_end, name="partner_vouchers lease", daemon=True
            )
            self._renewing.start()

    def close(self) -> None:
        """Stop renewing."""
        self._ended.set()
        if self._renewing is not None:
            self._renewing.join()

    def _renew_until_end(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                self._wiring.write_alone(self._renew)
            except StorageError:
                # The next transaction of the delivery run finds out whether the lease was lost.
                continue

    def _renew(self, tx: Transaction) -> None:
        if self.is_ours(tx):
            self.take(tx)
