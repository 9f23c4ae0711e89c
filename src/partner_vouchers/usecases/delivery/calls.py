"""Call a sink, in worker threads if it takes several calls at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from attrs import field, frozen

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.ports import EventSink, OutboxEntry, Rejection

T = TypeVar("T")

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
    known = {entry.id for entry in entries}
    rejections = dict[str, Rejection]()
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
