"""What a receiver's answer over HTTP means for the events that were sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.httpclient import Answer, NoAnswer, NotSent, Outcome
from partner_vouchers.sinks.common import Refused

CONTENT_REFUSED: Final = frozenset({400, 413, 415, 422})
"""The statuses that blame what was sent, so that the same would be refused again."""

LONGEST_WAIT: Final = 86_400.0
"""No receiver is left alone for longer than a day, in seconds, whatever it asks."""


def require_taken(sink: str, outcome: Outcome, now: float, advice: Mapping[int, str]) -> Answer:
    """Return an answer that says that the request was taken.

    Args:
        sink: the name of the sink.
        outcome: what came of the request.
        now: the present instant, in seconds since 1970.
        advice: what to do, by status, where the receiver refuses the sender and not the content.

    Raises:
        Refused: the receiver refuses the content.
        SinkUnavailable: it refuses the sender, is overloaded or broken, or did not answer.
    """
    match outcome:
        case NotSent(reason):
            raise SinkUnavailable(sink=sink, reason=f"{reason}; nothing was sent")
        case NoAnswer(reason):
            raise SinkUnavailable(sink=sink, reason=f"{reason}; the events may have arrived")
        case Answer(status) if 200 <= status < 300:
            return outcome
        case Answer(status) if status in CONTENT_REFUSED:
            raise Refused(f"refused with the status {status}")
        case Answer(status, headers):
            hint = advice.get(status) or ("redirects are not followed" if 300 <= status < 400 else "")
            reason = f"it answered with the status {status}{f': {hint}' if hint else ''}"
            raise SinkUnavailable(
                sink=sink, reason=reason, retry_after=retry_after(headers.get("retry-after"), now)
            )


def retry_after(value: str | None, now: float) -> float | None:
    """Return how many seconds the header `Retry-After` asks to wait; None where it does not say.

    Source: RFC 9110, section 10.2.3: seconds, or a date.

    Example:
        >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), retry_after("soon", 0.0)
        (120.0, 50.0, None)
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,10}", text):
        return min(float(text), LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
