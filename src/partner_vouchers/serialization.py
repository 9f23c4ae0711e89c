"""Turn what the library returns into JSON-ready data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, overload

import attrs

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import Event
from partner_vouchers.errors import InvalidInput, PartnerVouchersError

# Attributes and wire properties that are codes, or texts of others that may contain one.
_SECRET = frozenset(
    {"code", "raw", "first_row", "voucher_code", "coupon_code", "voucherCode", "Coupon Code", "details"}
)
_HIDDEN = frozenset({"ordering_key", "search_text"})


Codes = Literal["masked", "whole"]


class _AttrsObject(Protocol):
    # Pyright takes everything for an `attrs.AttrsInstance`.
    __attrs_attrs__: ClassVar[Any]


@overload
def to_dict(
    value: _AttrsObject | PartnerVouchersError | Mapping[Any, object], codes: Codes = "masked"
) -> dict[str, Any]: ...
@overload
def to_dict(value: list[Any], codes: Codes = "masked") -> list[Any]: ...
@overload
def to_dict(value: object, codes: Codes = "masked") -> Any: ...
def to_dict(value: object, codes: Codes = "masked") -> Any:
    """Return what the library returned as data that `json.dumps` takes.

    - An object becomes a dict of its attributes, in the order of its documentation, then of its properties with plain
      values, such as `error_count` of an upload. An event has its name under `event`.
    - An error becomes a dict with `error` (its stable code), `message`, and its attributes.
    - Lists, tuples and pages become lists; a `Page` becomes `{"items": [...], "next": ...}`.
    - A datetime becomes an ISO 8601 string in UTC that ends in `Z`; a date `YYYY-MM-DD`; a timedelta its seconds;
      a Decimal a string; an enum its value. Strings, numbers, booleans and None stay.

    The keys of an object stay the same until the next major version; new ones may be added.

    Args:
        value: anything that a method of the library returned, or one of its errors. Not an iterator: pass its items.
        codes: `"masked"` masks voucher codes as the reprs do; `"whole"` leaves them as they are.

    Raises:
        InvalidInput: the library returns no such value, or `codes` is neither word.

    Example:
        >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
        >>> to_dict(reward)["code"], to_dict(reward, codes="whole")["code"]
        ('…', 'PM500AA')
    """
    if codes not in ("masked", "whole"):
        raise InvalidInput(field="codes", reason="must be 'masked' or 'whole'")
    return _plain(value, codes == "whole")


def _plain(value: object, whole: bool) -> Any:
    match value:
        case None | bool() | int() | float() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case str():
            return str(value)
        case datetime():
            text = value.astimezone(UTC).isoformat() if value.tzinfo is not None else value.isoformat()
            return text.replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case PartnerVouchersError():
            # An attribute `message` is a text of another system.
            told = {name: each for name, each in vars(value).items() if name != "message"}
            return {"error": value.code, "message": str(value)} | _object(told, whole)
        case Mapping():
            return _object({str(_plain(key, True)): item for key, item in value.items()}, whole)
    if attrs.has(type(value)):
        name = {"event": value.event_name} if isinstance(value, Event) else {}
        return name | _object({key: getattr(value, key) for key in attribute_names(type(value))}, whole)  # type: ignore[arg-type]
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _object(value._asdict(), whole)
    if isinstance(value, Sequence | frozenset) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, whole) for item in value]
    raise InvalidInput(
        field="value",
        reason=f"must be something that the library returned, not {type(value).__name__}; pass an iterator's items",
    )


def _object(attributes: Mapping[str, object], whole: bool) -> dict[str, Any]:
    return {name: _attribute(name, value, whole) for name, value in attributes.items()}


def _attribute(name: str, value: object, whole: bool) -> Any:
    if whole:
        return _plain(value, whole)
    if name in _SECRET and isinstance(value, str):
        return mask(value)
    if name == "extra" and isinstance(value, Mapping):
        # A property that this version does not know may be a code.
        return {
            key: mask(item) if "code" in key.casefold() and isinstance(item, str) else _plain(item, whole)
            for key, item in value.items()
        }
    return _plain(value, whole)


@cache
def attribute_names(kind: type) -> tuple[str, ...]:
    """Return the keys of an object of an attrs class: its attributes, then its properties with plain values."""
    fields = [field.name for field in attrs.fields(kind) if not field.name.startswith("_")]
    properties = [
        name
        for base in reversed(kind.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, property) and not name.startswith("_") and _is_plain(member.fget)
    ]
    return tuple(dict.fromkeys(name for name in (*fields, *properties) if name not in _HIDDEN))


def _is_plain(getter: Callable[..., object] | None) -> bool:
    # Objects behind properties repeat what the attributes say: the event of an assignment, the snapshot of a list.
    returned = str(getattr(getter, "__annotations__", {}).get("return", ""))
    return bool(returned) and all(
        part.strip() in _PLAIN_TYPES for part in returned.replace("|", ",").split(",")
    )


_PLAIN_TYPES = frozenset(
    {"None", "bool", "int", "float", "str", "datetime", "date", "timedelta", "Decimal", "Source", "Status"}
)
