"""Delivery of events."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class SinkUnavailable(PartnerVouchersError):
    """A receiver of events could not be reached, is overloaded, or did not answer; the events are tried again.

    Attributes:
        sink: the name of the sink.
        reason: what happened.
        retry_after: how many seconds the receiver asked to be left alone, or None.
    """

    code: ClassVar[str] = "sink_unavailable"
    sink: str
    reason: str
    retry_after: float | None = None

    def __str__(self) -> str:
        again = "" if self.retry_after is None else f"; it asks to wait {self.retry_after:g} s"
        return f"the sink {self.sink!r} is not available: {self.reason}{again}"
