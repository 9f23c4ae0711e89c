"""A sink that uploads promo events to CleverTap. Needs the extra `http`.

Sources, as of July 2026: the product's pages on uploading events, on its API's errors, regions and request limits
(https://developer.clevertap.com/docs/upload-events-api, api-errors, common-api-components, api-request-limit).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import PromoEvent
from partner_vouchers.domain.properties import epoch_seconds
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput, SinkUnavailable
from partner_vouchers.httpclient import Answer, HttpClient, check_headers, check_url
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter, Refused, require_count, send_in_parts
from partner_vouchers.sinks.http_answers import require_taken
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
"""The kinds of user ids that CleverTap knows."""

MAX_RECORDS: Final = 1000
"""The most events that one call may carry."""

MAX_CALLS_IN_FLIGHT: Final = 15
"""The most calls that an account may have under way at the same time."""

FRESH_SECONDS: Final = 2 * 60 * 60
"""CleverTap triggers live campaigns by events that are no older."""

FINAL_CODES: Final[Mapping[int, str]] = {
    509: "the event has no name",
    512: "the event is not built as it should be",
    513: "the name of the event is reserved; give it another one with names={...}",
    522: "the event has too many properties",
    523: "the user has no id, or one that is too long",
    524: "it is neither an event nor a profile",
    525: "the timestamp is not in seconds since 1970",
    526: "the objectId is not valid",
    528: "the event was marked as discarded in CleverTap",
}
"""Why CleverTap does not take a record, where the same record would be refused again."""

_ADVICE: Final[Mapping[int, str]] = {
    401: "check the account id and the passcode, and that the region is the account's",
    403: "check that the passcode may upload events",
    404: "check the base URL",
    429: f"more than {MAX_CALLS_IN_FLIGHT} calls at the same time; does another program use the account?",
}
_RECORD_NUMBER = re.compile(r"record number\s*:\s*([0-9]{1,6})")
_log = logging.getLogger(__name__)


class CleverTapSink:
    """Uploads promo events, as what the users did.

    CleverTap has no id for events: what is sent again after an answer was lost counts twice there. It reserves
    the names of its own system events, so an account usually takes these only under other names (`names`), and
    cuts values longer than 512 bytes.

    Attributes:
        name: what the storage remembers the sink by.
        batch_size: the most events that `send` takes at once.
        concurrency: how many calls of `send` may run at the same time.

    Example:
        >>> sink = CleverTapSink(
        ...     account_id="ACCOUNT", passcode="PASSCODE", region="in1",
        ...     names={"CT Partner Voucher Rewarded": "Voucher Rewarded"},
        ... )
        >>> sink.name, sink.batch_size, sink.concurrency
        ('clevertap', 1000, 15)
    """

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
        """Describe the account.

        Args:
            account_id: the id of the account.
            passcode: its passcode.
            region: one of `REGIONS`.
            base_url: instead of a region: such as `"https://in1.api.clevertap.com"`.
            identity: what kind of id the `user_id` of the events is: one of `IDENTITIES`.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the promo events to upload; others count as taken. The library's own events
                concern no user, so CleverTap has no place for them.
            name: what the storage remembers the sink by; of two accounts, give each its own.
            batch_size: how many events a call carries, from 1 to 1000.
            concurrency: how many calls may be under way, from 1 to 15: less where other programs upload too.
            client: how to speak HTTP; `HttpClient` with its time limits by default.
            clock: returns the present instant in seconds since 1970.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self.name: str = require_name("name", name)
        self.batch_size: int = require_count("batch_size", batch_size, MAX_RECORDS)
        self.concurrency: int = require_count("concurrency", concurrency, MAX_CALLS_IN_FLIGHT)
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
        self._takes = EventFilter(events)
        self._takes.require_kind(PromoEvent)
        # A refusal repeats the whole record, so an answer may be larger than the request.
        self._client = client or HttpClient(connections=self.concurrency, max_answer_bytes=32_000_000)
        self._clock = clock

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """See `ports.EventSink`."""
        chosen = self._takes(entries)
        if not chosen:
            return ()
        self._warn_of_age(chosen)
        return send_in_parts(self.name, chosen, self._upload)

    def _upload(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        body = to_json({"d": [self.record_of(entry.event) for entry in entries]}).encode()
        outcome = self._client.request("POST", self._url, headers=self._headers, body=body)
        return self._rejections(entries, require_taken(self.name, outcome, self._clock(), _ADVICE))

    def record_of(self, event: Event) -> dict[str, Any]:
        """Return what is uploaded of an event."""
        return {
            self._identity: subject_of(event),
            "ts": epoch_seconds(event.occurred_at),
            "type": "event",
            "evtName": self._wording.name_of(event),
            "evtData": self._wording.properties_of(event),
        }

    def _warn_of_age(self, entries: Sequence[OutboxEntry]) -> None:
        youngest = self._clock() - FRESH_SECONDS
        old = [entry.id for entry in entries if entry.event.occurred_at.timestamp() < youngest]
        if old:
            _log.warning(
                "the sink %r uploads %d events that are older than two hours, beginning with %s: "
                "CleverTap triggers no live campaign by them",
                self.name,
                len(old),
                old[0],
            )

    # --- the answer --------------------------------------------------------------------------------------

    def _rejections(self, entries: Sequence[OutboxEntry], answer: Answer) -> Sequence[Rejection]:
        status, processed, unprocessed = self._read(answer)
        refused: dict[int, Rejection] = {}
        for item in unprocessed:
            index = self._index(entries, item)
            if index is None:
                raise Refused("refused, without a word which of the events is meant")
            code = _whole_number(item.get("code"))
            reason = f"CleverTap's code {code}: {FINAL_CODES.get(code, 'it may take the event later')}"
            refused[index] = Rejection(entries[index].id, reason, final=code in FINAL_CODES)
        if not refused and status != "success":
            raise SinkUnavailable(sink=self.name, reason="it says that it failed, and not why")
        if processed is None:
            # A refusal that cannot be told from another must not make an event count as taken.
            processed = len(entries) - len(unprocessed) if status in ("success", "partial") else 0
        if processed + len(refused) != len(entries):
            reason = f"it accounts for {processed + len(refused)} of {len(entries)} events"
            raise SinkUnavailable(sink=self.name, reason=reason)
        return [refused[index] for index in sorted(refused)]

    def _read(self, answer: Answer) -> tuple[object, int | None, Sequence[dict[str, Any]]]:
        try:
            found = json.loads(answer.body)
            unprocessed = found.get("unprocessed") or []
            if not all(isinstance(item, dict) for item in unprocessed):
                raise TypeError
            return found.get("status"), _count(found.get("processed")), unprocessed
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise SinkUnavailable(sink=self.name, reason="its answer cannot be understood") from None

    def _index(self, entries: Sequence[OutboxEntry], item: Mapping[str, Any]) -> int | None:
        """Return which of the events a refusal means: it repeats the record, and tells its number.

        No two events of a batch are of one user.
        """
        if len(entries) == 1:
            return 0
        record = item.get("record")
        if isinstance(record, str):  # some answers have it as JSON text
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
    found = REGIONS.get(region or "")
    if found is None:
        raise InvalidInput(field="region", reason=f"must be one of {', '.join(map(repr, REGIONS))}")
    return found


def _whole_number(value: object) -> int:
    """Return a code; 0 for none."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def _count(value: object) -> int | None:
    return value if type(value) is int else None
