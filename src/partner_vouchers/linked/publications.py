"""The publication log: what was asked of Voucherify, and what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from os import PathLike
from pathlib import Path
from threading import Lock

from attrs import asdict, field, frozen

from partner_vouchers.domain.codes import mask


def _shown(code: str | None) -> str:
    return repr(code and mask(code))


@frozen(kw_only=True)
class Publication:
    """One call to Voucherify.

    Attributes:
        at: when the answer came, in UTC.
        campaign: the campaign, or None where a single voucher was published.
        customer: the customer's source id.
        published: whether a code was published.
        code: the code, masked unless the host asked for whole ones; None where there is none.
        status: the HTTP status, or None where there was no answer.
        key: the kind of error in Voucherify's words, or None.
        publication_id: Voucherify's id of the publication, or None.
        request_id: Voucherify's id of a failed request, or None.
    """

    at: datetime
    campaign: str | None
    customer: str
    published: bool
    code: str | None = field(default=None, repr=_shown)
    status: int | None = None
    key: str | None = None
    publication_id: str | None = None
    request_id: str | None = None


PublicationLog = Callable[[Publication], None]
"""Whatever takes a publication, such as the `append` of a list, a function of the host, or a `JsonLinesLog`."""


class JsonLinesLog:
    """A publication log in a file, one JSON object a line; threads may share it.

    The file may hold codes, so it is created readable by its owner only.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        """Name the file, which is made when the first line is written.

        Args:
            path: where it is; lines are put at its end.
        """
        self._path = Path(path)
        self._lock = Lock()

    def __call__(self, publication: Publication) -> None:
        """Write a line."""
        fields = {**asdict(publication), "at": publication.at.isoformat()}
        line = json.dumps(fields, ensure_ascii=False)
        # Half a character from the answer is written as JSON writes it, and fails no message.
        text = f"{line}\n".encode(errors="backslashreplace")
        with self._lock, open(self._path, "ab", opener=_owner_only) as file:
            file.write(text)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
