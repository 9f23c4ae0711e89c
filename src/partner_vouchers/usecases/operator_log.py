"""What the operator of a host reads in the log: slow calls, and refused requests by reason. Never a code or a user."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import NoCodeAvailable

SLOW = 1.0
"""Seconds from which on a transaction of a call is logged as slow, with what it waited for."""

SUMMARY_EVERY = 60.0
"""Seconds between two lines about refused requests."""

_PARTS = {
    "CodeRequests": "codes",
    "CodeReservations": "codes",
    "TakingBack": "codes",
    "ListCreation": "lists",
}
_SLOW_LOG = logging.getLogger("partner_vouchers.calls")
_REFUSALS_LOG = logging.getLogger("partner_vouchers.refusals")
_UPLOADS_LOG = logging.getLogger("partner_vouchers.uploads")


class RefusalSummary:
    """Logs refused requests as a sum: the first at once, further ones with the first that comes a minute later.

    Threads share it, and no lock is kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing.

        Args:
            clock: returns seconds that never go back.
        """
        self._clock = clock
        self._waiting: deque[tuple[str | None, str]] = deque()
        self._quiet_until: float | None = None

    def add(self, refused: NoCodeAvailable) -> None:
        """Count a refused request, and log the sum if it is time."""
        self._waiting.append((refused.campaign_id, refused.code))
        now = self._clock()
        if self._quiet_until is not None and now < self._quiet_until:
            return
        self._quiet_until = now + SUMMARY_EVERY
        counts = Counter[tuple[str | None, str]]()
        with suppress(IndexError):
            while True:
                counts[self._waiting.popleft()] += 1
        if counts:
            parts = (
                f"{reason} {count}" + ("" if campaign is None else f" (campaign {campaign!r})")
                for (campaign, reason), count in counts.most_common()
            )
            _REFUSALS_LOG.warning("refused requests: %s", ", ".join(parts))


def log_slow(work: Callable[..., object], seconds: float) -> None:
    """Log that a transaction of a call was slow."""
    # Such as `_store` or `ListsGroup.create.<locals>.create`.
    group, _, method = getattr(work, "__qualname__", "a call").removeprefix("_").partition(".")
    group = _PARTS.get(group, group.removesuffix("Group").lower())
    name = f"{group}.{method.lstrip('_').partition('.')[0]}".rstrip(".")
    _SLOW_LOG.warning("%s took %.1f s for a transaction", name, seconds)


def log_upload(upload: Upload) -> None:
    """Log the end of an upload, with its counts."""
    if upload.failure is None:
        told = "upload %s to list %s is Completed: %d of %d codes accepted, %d errors"
        _UPLOADS_LOG.info(told, upload.id, upload.list_id, upload.accepted, upload.total, upload.error_count)
        return
    told = "upload %s to list %s is Failed: %s, after %d rows with %d errors"
    kind = upload.failure.kind.value
    _UPLOADS_LOG.warning(told, upload.id, upload.list_id, kind, upload.total, upload.error_count)
