"""A sink that posts events to any URL, in a CloudEvents envelope under a Standard Webhooks signature.

Needs the extra `http`. Sources: the JSON format and the HTTP binding of CloudEvents 1.0
(https://github.com/cloudevents/spec), and Standard Webhooks (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput
from partner_vouchers.httpclient import HttpClient, check_headers, check_url
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import EventFilter, require_count, send_in_parts
from partner_vouchers.sinks.http_answers import require_taken
from partner_vouchers.wire.cloud_events import to_cloud_event
from partner_vouchers.wire.wording import Wording, to_json

_PREFIX: Final = "whsec_"
_ADVICE: Final[Mapping[int, str]] = {
    401: "check the secrets and headers",
    403: "check the secrets and headers",
    404: "check the URL",
    405: "check the URL",
    410: "the receiver is gone for good; remove the sink, or change its URL",
}


class WebhookSink:
    """Posts events as CloudEvents, signed so that the receiver can tell who sent them.

    One event a request by default, which every receiver of Standard Webhooks understands; its id is the
    `webhook-id`, so that a receiver tells repeats by it. With a larger `batch_size` a request is a batch in the
    sense of CloudEvents, `application/cloudevents-batch+json`.

    Attributes:
        name: what the storage remembers the sink by.
        batch_size: the most events that `send` takes at once.
        concurrency: how many calls of `send` may run at the same time.

    Example:
        >>> sink = WebhookSink("https://shop.example.com/hooks", secrets="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        >>> sink.name, sink.batch_size
        ('webhook', 1)
    """

    def __init__(
        self,
        url: str,
        *,
        secrets: str | Sequence[str],
        source: str = "/partner-vouchers",
        headers: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        events: Iterable[type[Event]] = (Event,),
        name: str = "webhook",
        batch_size: int = 1,
        concurrency: int = 8,
        client: HttpClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Describe the receiver.

        Args:
            url: where to post: https, or http on this machine.
            secrets: the secret shared with the receiver, `whsec_` and the base64 of 24 to 64 bytes. While it is
                exchanged, the new one and the old: each request is then signed with both.
            source: the `source` of the envelopes: a URI reference that stands for the sender.
            headers: further headers, such as one that a gateway asks for.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the events to post; others count as taken.
            name: what the storage remembers the sink by; of two receivers, give each its own.
            batch_size: how many events a request carries, from 1 to 1000.
            concurrency: how many requests may be under way, from 1 to 100.
            client: how to speak HTTP; `HttpClient` with its time limits by default.
            clock: returns the present instant in seconds since 1970.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        self.name: str = require_name("name", name)
        self.batch_size: int = require_count("batch_size", batch_size, 1000)
        self.concurrency: int = require_count("concurrency", concurrency, 100)
        check_url(url)
        check_headers(headers or {})
        self._url = url
        self._keys = _keys(secrets)
        self._source = require_name("source", source)
        self._headers = dict(headers or {})
        self._wording = Wording(names, forms)
        self._takes = EventFilter(events)
        self._client = client or HttpClient(connections=self.concurrency)
        self._clock = clock

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        """See `ports.EventSink`."""
        chosen = self._takes(entries)
        return send_in_parts(self.name, chosen, self._post) if chosen else ()

    def _post(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        envelopes = [to_cloud_event(entry, self._wording, self._source) for entry in entries]
        if self.batch_size == 1:
            kind, message_id, body = "cloudevents", entries[0].id, to_json(envelopes[0]).encode()
        else:
            kind, message_id, body = "cloudevents-batch", _batch_id(entries), to_json(envelopes).encode()
        now = self._clock()
        headers = {
            **self._headers,
            "Content-Type": f"application/{kind}+json; charset=utf-8",
            **self._signed(message_id, str(int(now)), body),
        }
        outcome = self._client.request("POST", self._url, headers=headers, body=body)
        require_taken(self.name, outcome, now, _ADVICE)
        return ()

    def _signed(self, message_id: str, timestamp: str, body: bytes) -> dict[str, str]:
        content = b".".join((message_id.encode(), timestamp.encode(), body))
        signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in self._keys)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(f"v1,{signature.decode()}" for signature in signatures),
        }


def _keys(secrets: object) -> list[bytes]:
    given = [secrets] if isinstance(secrets, str) else secrets
    if not isinstance(given, Sequence) or not given:
        raise InvalidInput(field="secrets", reason="must name at least one secret")
    return [_key(secret) for secret in given]


def _key(secret: object) -> bytes:
    try:
        if isinstance(secret, str) and secret.startswith(_PREFIX):
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
            if 24 <= len(key) <= 64:
                return key
    except (binascii.Error, ValueError):
        pass
    raise InvalidInput(field="secrets", reason=f"must be {_PREFIX!r} and the base64 of 24 to 64 random bytes")


def _batch_id(entries: Sequence[OutboxEntry]) -> str:
    """Return an id that the same events have again."""
    return f"batch-{hashlib.sha256(to_json([entry.id for entry in entries]).encode()).hexdigest()[:32]}"
