"""What the response of an HTTP receiver means for the events that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partner_vouchers.errors import SinkUnavailable
from partner_vouchers.http import NoResponse, Response
from partner_vouchers.sinks.common import Refused
from partner_vouchers.wire.retry_after import retry_after

CONTENT_REFUSED: Final = frozenset({400, 413, 415, 422})
"""The statuses that refuse the content of a request, so that the same content would be refused again."""

SENDER_REFUSED: Final = frozenset({*range(300, 400), 401, 403, 404, 405, 407, 410, 429})
"""The statuses for which no event is to blame."""


def require_taken(
    sink: str, result: Response | NoResponse, now: float, advice: Mapping[int, str]
) -> Response:
    """Return the response that says that the request was taken. Its body may have a `body_error`.

    Args:
        sink: the name of the sink.
        result: what became of the request.
        now: the present instant, in seconds since 1970.
        advice: what to do, by status, if the receiver refuses the sender.

    Raises:
        Refused: the receiver refuses the content.
        SinkUnavailable: it refuses the sender, is overloaded or broken, or did not respond.
    """
    if not isinstance(result, Response):
        reason = f"{result.reason}; {'the events may have arrived' if result.sent else 'nothing was sent'}"
        raise SinkUnavailable(sink=sink, reason=reason, sender_refused=not result.sent)
    status = result.status
    if result.is_success:
        return result
    if status in CONTENT_REFUSED:
        raise Refused(f"refused with the status {status}")
    hint = advice.get(status) or ("redirects are not followed; check the URL" if 300 <= status < 400 else "")
    raise SinkUnavailable(
        sink=sink,
        reason=f"it responded with the status {status}{f': {hint}' if hint else ''}",
        retry_after=retry_after(result.headers.get("retry-after"), now),
        sender_refused=status in SENDER_REFUSED,
    )
