"""Events in the JSON format of CloudEvents 1.0.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as encode_text

from partner_vouchers.domain.events import Event
from partner_vouchers.ports import OutboxEntry
from partner_vouchers.wire.wording import Wording


class CloudEvents:
    """Writes outbox entries as CloudEvents for one receiver.

    `id` is the id of the entry, `type` the name of the event at the receiver, and `data` the properties of the event.
    `subject` is the user of the event, also of an event about a code. An event without a user has its list as subject;
    an event without either has no subject.
    """

    def __init__(self, wording: Wording, source: str) -> None:
        """Write for a receiver.

        Args:
            wording: the names and wire forms that the receiver wants.
            source: a URI reference for the sender.
        """
        self._wording = wording
        self._source = encode_text(source)
        self._kinds: dict[type[Event], tuple[str, Callable[[Event], str]]] = {}

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the writers: they cannot be pickled, and are made again when needed."""
        return {**self.__dict__, "_kinds": {}}

    def to_json(self, entry: OutboxEntry) -> str:
        """Return an entry as compact JSON text."""
        event = entry.event
        head, data_of = self._kinds.get(type(event)) or self._new_kind(event)
        at, subject = event.occurred_at, subject_of(event)
        time = _iso(at) if at.tzinfo is UTC else at.isoformat()
        about = f',"subject":{encode_text(subject)}' if subject else ""
        # Written directly, since an encoder that is given a dict takes twice as long.
        return (
            f'{{"specversion":"1.0","id":{encode_text(entry.id)},{head},"time":"{time}",'
            f'"datacontenttype":"application/json","data":{data_of(event)}{about}}}'
        )

    def _new_kind(self, event: Event) -> tuple[str, Callable[[Event], str]]:
        """Remember what all events of a class have in common."""
        head = f'"source":{self._source},"type":{encode_text(self._wording.name_of(event))}'
        return self._kinds.setdefault(type(event), (head, self._wording.json_writer(type(event))))


# Events of a batch have the same instant.
_iso = lru_cache(1024)(datetime.isoformat)


def subject_of(event: Event) -> str | None:
    """Return the id of the user of an event, or else of its list, or None."""
    user_id: str | None = getattr(event, "user_id", None)
    return getattr(event, "list_id", None) if user_id is None else user_id
