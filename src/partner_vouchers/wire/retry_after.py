"""The header `Retry-After`: how long a service asks its callers to wait.

Source: RFC 9110, sections 5.6.7 and 10.2.3.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_tz
from typing import Final

LONGEST_WAIT: Final = 86_400.0
"""The longest wait that a service can ask for, in seconds. It is a day."""


def retry_after(value: str | None, now: float) -> float | None:
    """Return the wait that a `Retry-After` header asks for.

    Args:
        value: the header: a number of seconds, or a date in one of the three forms of HTTP, which are all GMT.
        now: the present instant, in seconds since 1970.

    Returns:
        Seconds from 0 to `LONGEST_WAIT`; None without a header, or if it is neither a number nor a date.

    Example:
        >>> retry_after("120", 0.0), retry_after("soon", 0.0)
        (120.0, None)
        >>> retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), retry_after("Thu Jan  1 00:01:00 1970", 10.0)
        (50.0, 50.0)
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return bounded_wait(float(text))
    parts = parsedate_tz(text)
    if parts is None:
        return None
    try:
        # Not `mktime_tz`, which takes a date without a zone for local time.
        instant = datetime(*parts[:6], tzinfo=UTC).timestamp() - (parts[9] or 0)
    except (ValueError, OverflowError):
        return None
    return bounded_wait(instant - now)


def bounded_wait(seconds: float) -> float:
    """Return a wait between 0 and `LONGEST_WAIT` seconds."""
    return min(max(seconds, 0.0), LONGEST_WAIT)
