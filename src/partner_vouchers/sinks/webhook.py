"""A sink that posts events to a URL, as CloudEvents with a Standard Webhooks signature.

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

from partner_vouchers.domain.arguments import require_callable, require_instance
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidInput
from partner_vouchers.http import HttpClient, check_headers, check_url
from partner_vouchers.ports import OutboxEntry, Rejection
from partner_vouchers.sinks.common import Sink, send_in_parts
from partner_vouchers.sinks.http_responses import require_taken
from partner_vouchers.wire.cloud_events import CloudEvents
from partner_vouchers.wire.wording import Wording, to_json

_PREFIX: Final = "whsec_"
_ADVICE: Final[Mapping[int, str]] = {
    401: "check the secrets and headers",
    403: "check the secrets and headers",
    404: "check the URL",
    405: "check the URL",
    410: "the receiver no longer exists; remove the sink or change its URL",
}


class WebhookSink(Sink):
    """Posts events as CloudEvents, with a signature that proves the sender.

    By default a request carries one event, as every receiver of Standard Webhooks expects. The id of the event is
    the `webhook-id`, by which the receiver recognises repeats. With a larger `batch_size` a request carries a
    CloudEvents batch, `application/cloudevents-batch+json`.

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
        """Create the sink of a receiver.

        Args:
            url: the URL to post to: `https`, or `http` on this machine.
            secrets: the secret shared with the receiver: `whsec_` and the base64 of 24 to 64 bytes. To replace it,
                pass the new and the old one for a while; each request is then signed with both.
            source: the `source` of the CloudEvents: a URI reference for the sender.
            headers: further headers, such as one that a gateway requires.
            names: see `wire.wording.Wording`.
            forms: see `wire.wording.Wording`.
            events: the classes of the events to post; others count as taken.
            name: the name of the sink in the storage; give each receiver its own.
            batch_size: how many events to send in a request, from 1 to 1000.
            concurrency: how many requests may be in flight, from 1 to 100.
            client: the HTTP client; by default an `HttpClient` with its default time limits.
            clock: returns the present instant in seconds since 1970.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        super().__init__(name, events, batch_size, 1000, concurrency)
        check_url(url)
        check_headers({} if headers is None else headers)
        self._url = url
        self._keys = _keys(secrets)
        self._headers = dict(headers or {})
        self._to_json = CloudEvents(Wording(names, forms), require_name("source", source)).to_json
        self._client = require_instance(
            "client", client if client is not None else HttpClient(connections=self.concurrency), HttpClient
        )
        self._clock = require_callable("clock", clock)

    def send(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        return send_in_parts(self.name, entries, self._post)

    def _post(self, entries: Sequence[OutboxEntry]) -> Sequence[Rejection]:
        envelopes = ",".join(map(self._to_json, entries))
        if self.batch_size == 1:
            kind, message_id, body = "cloudevents", entries[0].id, envelopes.encode()
        else:
            kind, message_id, body = "cloudevents-batch", _batch_id(entries), f"[{envelopes}]".encode()
        now = self._clock()
        headers = {
            **self._headers,
            "Content-Type": f"application/{kind}+json; charset=utf-8",
            **self._signed(message_id, str(int(now)), body),
        }
        result = self._client.request("POST", self._url, headers=headers, body=body)
        require_taken(self.name, result, now, _ADVICE)
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
        raise InvalidInput(field="secrets", reason="must contain at least one secret")
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
    """Return an id that depends only on the events."""
    return f"batch-{hashlib.sha256(to_json([entry.id for entry in entries]).encode()).hexdigest()[:32]}"
