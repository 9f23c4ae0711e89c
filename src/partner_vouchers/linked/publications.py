"""The publication log: every call to Voucherify and its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from os import PathLike

from attrs import asdict, field, frozen

from partner_vouchers.domain.codes import mask
from partner_vouchers.sinks.jsonl import append_lines, require_path


def _shown(code: str | None) -> str:
    return repr(code and mask(code))


@frozen(kw_only=True)
class Publication:
    """One call to Voucherify.

    Attributes:
        at: when the response arrived, in UTC.
        campaign: the campaign, or None for a voucher without one.
        customer: the customer's source id.
        published: whether a code was published; None if the response does not say.
        code: the code, masked unless the host asked for whole codes, or None.
        status: the HTTP status, or None without a response.
        key: Voucherify's name for the error, or None.
        publication_id: Voucherify's id of the publication, or None.
        request_id: Voucherify's id of a failed request, or None.
    """

    at: datetime
    campaign: str | None
    customer: str
    published: bool | None
    code: str | None = field(default=None, repr=_shown)
    status: int | None = None
    key: str | None = None
    publication_id: str | None = None
    request_id: str | None = None


PublicationLog = Callable[[Publication], None]
"""Any function of a publication, such as the `append` of a list, or a `JsonLinesLog`."""


class JsonLinesLog:
    """A publication log in a file, one JSON object on each line. Threads and processes can share the file.

    The file may contain codes, so only its owner can read it.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        """Choose the file. The first publication creates it.

        Args:
            path: the file; lines are appended to it.

        Raises:
            InvalidInput: `path` is not a path.
        """
        self._path = require_path(path)

    def __call__(self, publication: Publication) -> None:
        """Append a publication.

        Raises:
            OSError: the file cannot be written.
        """
        fields = {**asdict(publication), "at": publication.at.isoformat()}
        append_lines(self._path, [json.dumps(fields, ensure_ascii=False)], durable=False)
