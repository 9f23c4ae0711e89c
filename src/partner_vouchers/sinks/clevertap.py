"""A sink that uploads promo events to CleverTap. Needs the extra `http`.

Sources, as of July 2026: CleverTap's documentation of the upload API, its errors, regions and request limits
(https://developer.clevertap.com/docs/upload-events-api, api-errors, common-api-components, api-request-limit).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from partner_vouchers.domain.arguments import require_callable, require_instance
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.domain.properties import epoch_seconds
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.http import HttpClient, Response, check_headers, check_url
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Refused, Sink, send_in_parts
from partner_vouchers.sinks.http_responses import require_taken
from partner_vouchers.wire.cloud_events import subject_of
from partner_vouchers.wire.wording import Wording, to_json

REGIONS: Final[Mapping[str, str]] = {
    "eu1": "https://api.clevertap.com",
    "in1": "https://in1.api.clevertap.com",
    "sg1": "https://sg1.api.clevertap.com",
    "us1": "https://us1.api.clevertap.com",
    "aps3": "https://aps3.api.clevertap.com",
    "mec1": "https://mec1.api.clevertap.com",
}
"""The hosts of the regions: Europe, India, Singapore, United States, Indonesia, Middle East."""

IDENTITIES: Final = ("identity", "objectId", "FBID", "GPID")
"""The kinds of user ids that CleverTap accepts."""

MAX_RECORDS: Final = 1000
"""The largest number of events in one call."""

MAX_CALLS_IN_FLIGHT: Final = 15
"""The largest number of calls that an account may have in flight."""

FRESH_SECONDS: Final = 2 * 60 * 60
"""The age in seconds up to which an event triggers CleverTap's live campaigns."""

FINAL_CODES: Final[Mapping[int, str]] = {
    509: "the event has no name",
    512: "the format of the event is wrong",
    513: "the event name is reserved; choose another one with names={...}",
    522: "the event has too many properties",
    523: "the user id is missing or too long",
    524: "the record is neither an event nor a profile",
    525: "the timestamp is not in seconds since 1970",
    526: "the objectId is not valid",
    528: "the event is marked as discarded in CleverTap",
}
"""Why CleverTap refuses a record, for the codes with which it would refuse the same record again."""

_ADVICE: Final[Mapping[int, str]] = {
    401: "check the account id, the passcode and the region",
    403: "check that the passcode is allowed to upload events",
    404: "check the base URL",
    429: f"more than {MAX_CALLS_IN_FLIGHT} calls in flight; does another program use the account?",
}
_RECORD_NUMBER = re.compile(r"record number\s*:\s*([0-9]{1,6})")
_log = logging.getLogger(__name__)


class CleverTapSink(Sink):
    """Uploads promo events to the profiles of their users.

    CleverTap has no ids for events, so an event that is sent again counts twice there. It reserves the names of its
    own system events, so an account usually needs other names (`names`). It cuts values longer than 512 bytes.

    Example:
        >>> sink = CleverTapSink(
        ...     account_id="ACCOUNT", passcode="PASSCODE", region="in1",
        ...     names={"CT Partner Voucher Rewarded": "Voucher Rewarded"},
        ... )
        >>> sink.name, sink.batch_size, sink.concurrency
        ('clevertap', 1000, 15)
    """

    _base = PromoEvent

    def __init__(
        self,
        *,
        account_id: str,
        passcode: str,
        region: str | None = None,
        base_url: str | None = None,
        identity: str = "identity",
        names: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        events: Iterable[type[Event]] = (PromoEvent,),
        name: str = "clevertap",
        batch_size: int = MAX_RECORDS,
        concurrency: int = MAX_CALLS_IN_FLIGHT,
        client: HttpClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create the sink of an account.

        Args:
            account_id: the id of the account.
            passcode: the passcode of the account.
            region: one of `REGIONS`.
            base_url: instead of a region, such as `"https://in1.api.clevertap.com"`.
            identity: which kind of id the `user_id` of the events is: one of `IDENTITIES`.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the promo events to upload; others count as taken. The library's own events
                belong to no user, so CleverTap cannot store them.
            name: the name of the sink in the storage; give each account its own.
            batch_size: how many events to send in a call, from 1 to 1000.
            concurrency: how many calls may be in flight, from 1 to 15; lower it if other programs upload too.
            client: the HTTP client; by default an `HttpClient` with its default time limits.
            clock: returns the present instant in seconds since 1970.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        super().__init__(name, events, batch_size, MAX_RECORDS, concurrency, MAX_CALLS_IN_FLIGHT)
        self._url = f"{_base_url(region, base_url)}/1/upload"
        self._headers = {
            "Content-Type": "application/json",
            "X-CleverTap-Account-Id": require_name("account_id", account_id),
            "X-CleverTap-Passcode": require_name("passcode", passcode),
        }
        check_headers(self._headers)
        if identity not in IDENTITIES:
            raise InvalidInput(field="identity", reason=f"must be one of {', '.join(map(repr, IDENTITIES))}")
        self._identity = identity
        self._wording = Wording(names, forms)
        # CleverTap repeats each refused record, so a response can be larger than the request.
        self._client = require_instance(
            "client",
            client
            if client is not None
            else HttpClient(connections=self.concurrency, max_response_bytes=32_000_000),
            HttpClient,
        )
        self._clock = require_callable("clock", clock)

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        self._warn_of_age(entries)
        return send_in_parts(self.name, entries, self._upload)

    def _upload(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        body = to_json({"d": [self.record_of(entry.event) for entry in entries]}).encode()
        result = self._client.request("POST", self._url, headers=self._headers, body=body)
        response = require_taken(self.name, result, self._clock(), _ADVICE)
        report = _report(response)
        if report is None:
            # The head says taken. To send the events again would count them twice.
            why = response.body_error or "its body is not the documented JSON"
            _log.warning(
                "the sink %r took %d events, but its response cannot be read: %s",
                self.name,
                len(entries),
                why,
            )
            return ()
        return self._rejections(entries, report)

    def record_of(self, event: Event) -> dict[str, Any]:
        """Return the record that is uploaded for an event."""
        return {
            self._identity: subject_of(event),
            "ts": epoch_seconds(event.occurred_at),
            "type": "event",
            "evtName": self._wording.name_of(event),
            "evtData": self._wording.properties_of(event),
        }

    def _warn_of_age(self, entries: Sequence[OutboxEntry]) -> None:
        oldest = self._clock() - FRESH_SECONDS
        old = [entry.id for entry in entries if entry.event.occurred_at.timestamp() < oldest]
        if old:
            _log.warning(
                "the sink %r uploads %d events that are older than two hours, the first is %s: "
                "they will trigger no live campaign in CleverTap",
                self.name,
                len(old),
                old[0],
            )

    def _rejections(self, entries: Sequence[OutboxEntry], report: _Report) -> Sequence[Rejection]:
        refused: dict[int, Rejection] = {}
        for item in report.unprocessed:
            index = self._index(entries, item)
            if index is None:
                raise Refused("refused, without saying which of the events is meant")
            code = _whole_number(item.get("code"))
            reason = f"CleverTap's code {code}: {FINAL_CODES.get(code, 'it may take the event later')}"
            refused[index] = Rejection(entries[index].id, reason, final=code in FINAL_CODES)
        if not refused and report.status in ("fail", "partial"):
            raise SinkUnavailable(sink=self.name, reason="it reports a failure without a reason")
        processed = report.processed
        if processed is None:
            is_known = report.status in ("success", "partial") or not refused
            processed = len(entries) - len(report.unprocessed) if is_known else 0
        if processed + len(refused) != len(entries):
            reason = f"it reports on {processed + len(refused)} of {len(entries)} events"
            raise SinkUnavailable(sink=self.name, reason=reason)
        return [refused[index] for index in sorted(refused)]

    def _index(self, entries: Sequence[OutboxEntry], item: Mapping[str, Any]) -> int | None:
        """Return the index of the event that a refusal is about, by its record or else by its number.

        No two events of a batch belong to one user.
        """
        if len(entries) == 1:
            return 0
        record = item.get("record")
        if isinstance(record, str):  # some responses have it as a JSON string
            try:
                record = json.loads(record)
            except (ValueError, RecursionError):
                record = None
        if isinstance(record, dict):
            user = str(record.get(self._identity))
            found = [index for index, entry in enumerate(entries) if subject_of(entry.event) == user]
            if len(found) == 1:
                return found[0]
        number = _RECORD_NUMBER.search(str(item.get("error")))
        if number and 1 <= int(number[1]) <= len(entries):
            return int(number[1]) - 1
        return None


def _base_url(region: str | None, base_url: str | None) -> str:
    if (region is None) == (base_url is None):
        raise InvalidInput(field="region", reason="must be given, or base_url instead")
    if base_url is not None:
        check_url(base_url, field="base_url")
        return base_url.rstrip("/")
    found = REGIONS.get(region) if isinstance(region, str) else None
    if found is None:
        raise InvalidInput(field="region", reason=f"must be one of {', '.join(map(repr, REGIONS))}")
    return found


@frozen
class _Report:
    """What CleverTap says about the records of a call."""

    status: object
    processed: int | None
    unprocessed: Sequence[dict[str, Any]]


def _report(response: Response) -> _Report | None:
    try:
        found = json.loads(response.body)
        processed, unprocessed = found.get("processed"), found.get("unprocessed") or []
        if all(isinstance(item, dict) for item in unprocessed):
            return _Report(found.get("status"), processed if type(processed) is int else None, unprocessed)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _whole_number(value: object) -> int:
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0
