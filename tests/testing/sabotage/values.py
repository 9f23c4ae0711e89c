"""Memory storages that bend what they are given: trimmed, folded, normalised or cut strings, and coarse instants."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import wraps
from inspect import isfunction
from typing import Any

import attrs

from partner_vouchers.adapters.memory import codes, imports, lists, records, reservations
from tests.testing.sabotage.adapters import Fault

Bend = Callable[[Any], Any]


def _strings(change: Callable[[str], str]) -> Bend:
    return lambda value: change(value) if isinstance(value, str) else value


def _instants(unit: int) -> Bend:
    def coarse(value: Any) -> Any:
        if not isinstance(value, datetime):
            return value
        return value.replace(microsecond=value.microsecond // unit * unit)

    return coarse


STRINGS: dict[str, Bend] = {
    "trimmed": _strings(str.strip),
    "in small letters": _strings(str.lower),
    "in capitals": _strings(str.upper),
    "composed": _strings(lambda text: unicodedata.normalize("NFC", text)),
    "without signs beyond the first plane": _strings(
        lambda text: "".join(each if each <= "\uffff" else "?" for each in text)
    ),
    "cut": _strings(lambda text: text[:254]),
}
CODES = {**STRINGS, "cut": _strings(lambda text: text[:127])}
INSTANTS: dict[str, Bend] = {"in seconds": _instants(1_000_000), "in milliseconds": _instants(1_000)}


def bent(value: Any, bend: Bend) -> Any:
    """Return a value with all that is in it bent."""
    if isinstance(value, Enum | type) or callable(value):
        return value
    if attrs.has(type(value)):
        fields = (each.name for each in attrs.fields(type(value)) if each.init)
        return attrs.evolve(value, **{name: bent(getattr(value, name), bend) for name in fields})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(bent(each, bend) for each in value))
    if isinstance(value, Mapping):
        return {bent(key, bend): bent(each, bend) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(bent(each, bend) for each in value)
    return bend(value)


def _bending(method: Any, bend: Bend) -> Any:
    @wraps(method)
    def bending(self: Any, *given: Any, **named: Any) -> Any:
        return method(
            self,
            *(bent(each, bend) for each in given),
            **{name: bent(each, bend) for name, each in named.items()},
        )

    return bending


def _bent(owner: type, bend: Bend) -> list[tuple[type, str, Any]]:
    methods = {name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")}
    return [(owner, name, _bending(method, bend)) for name, method in methods.items() if isfunction(method)]


_STORED = [
    ("partners", (lists.Partners,), "names[partners]", STRINGS | INSTANTS),
    ("lists", (lists.Lists,), "lists", STRINGS | INSTANTS),
    ("links", (lists.Campaigns,), "campaigns_and_users", STRINGS | INSTANTS),
    ("assignments", (codes.Assignments,), "campaigns_and_users", STRINGS | INSTANTS),
    ("codes", (imports.MemoryImport, codes.Codes), "codes_and_scopes", CODES),
    ("idempotency keys", (records.IdempotencyKeys,), "names[idempotency_keys]", STRINGS),
    ("settings", (records.Settings,), "names[settings]", STRINGS),
    ("leases", (records.Leases,), "names[leases]", STRINGS),
    ("uploads", (records.Uploads,), "uploads", STRINGS | INSTANTS),
    ("refused rows", (imports.MemoryImport,), "refused_rows", STRINGS),
    ("events", (records.Outbox,), "events", STRINGS | INSTANTS),
    ("audited events", (records.Audit,), "names[actors]", STRINGS | INSTANTS),
    ("progress", (records.Deliveries,), "names[sinks]", STRINGS | INSTANTS),
    ("deferred events", (records.Deliveries,), "keys_of_deferred_events", STRINGS | INSTANTS),
    ("reservations", (reservations.Reservations,), "reservations", STRINGS | INSTANTS),
    ("limits", (reservations.Limits,), "names[limits]", STRINGS),
    ("refusals", (reservations.Refusals,), "names[refusals]", STRINGS),
]


def _named_test(about: str) -> str:
    subject, _, kind = about.partition("[")
    return f"test_{subject}_that_look_alike_are_told_apart" + (f"[{kind}" if kind else "")


VALUES = [
    Fault(
        f"{what} {how}",
        _named_test(about),
        tuple(target for owner in owners for target in _bent(owner, bend)),
    )
    for what, owners, about, ways in _STORED
    for how, bend in ways.items()
]
