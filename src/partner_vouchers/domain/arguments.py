"""Checks of arguments that are not names: numbers, functions, and objects of a class.

Each function takes the name of the argument and its value. It returns the value, or raises `InvalidInput` with the name
of the argument and the rule that the value breaks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from partner_vouchers.errors import InvalidInput

T = TypeVar("T")
Member = TypeVar("Member", bound=StrEnum)

_ZONES_OF_THE_MACHINE = frozenset({"localtime", "posixrules"})


def is_whole(value: object, least: int, most: int) -> bool:
    """Return whether `value` is a whole number from `least` to `most`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def require_whole(field: str, value: Any, least: int, most: int, reason: str) -> int:
    """Return a whole number from `least` to `most`; `reason` says the rule."""
    if is_whole(value, least, most):
        return int(value)
    raise InvalidInput(field=field, reason=reason)


def require_count(field: str, value: object, most: int = sys.maxsize) -> int:
    """Return a whole number from 1 to `most`."""
    limits = "of at least 1" if most == sys.maxsize else f"from 1 to {most}"
    return require_whole(field, value, 1, most, f"must be a whole number {limits}")


def require_seconds(field: str, value: object) -> float:
    """Return a number of seconds above zero, and at most a billion."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e9:
        return value
    raise InvalidInput(field=field, reason="must be a positive number of seconds")


def require_duration(
    field: str, value: object, reason: str, least: timedelta = timedelta(), most: timedelta = timedelta.max
) -> timedelta:
    """Return a timedelta from `least` to `most`; `reason` says the rule."""
    if isinstance(value, timedelta) and least <= value <= most:
        return value
    raise InvalidInput(field=field, reason=reason)


def require_days(since: object, until: object) -> tuple[date | None, date | None]:
    """Return the first and the last of some days, in this order; None for no bound."""
    first, last = _require_day("since", since), _require_day("until", until)
    if first is not None and last is not None and last < first:
        raise InvalidInput(field="until", reason="must not come before since")
    return first, last


def _require_day(field: str, value: object) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    raise InvalidInput(field=field, reason="must be a date, such as date(2027, 3, 31), or None")


def require_bool(field: str, value: object) -> bool:
    """Return True or False, but nothing that only counts as such, as 1 does."""
    if isinstance(value, bool):
        return value
    raise InvalidInput(field=field, reason=f"must be True or False, not {type(value).__name__}")


def require_member(field: str, value: Any, kind: type[Member]) -> Member:
    """Return the member of an enumeration, which may be given by its value."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(member.value) for member in kind)
        raise InvalidInput(field=field, reason=f"must be one of {known}") from None


def require_mapping(field: str, value: object) -> Mapping[Any, Any]:
    """Return a mapping."""
    if isinstance(value, Mapping):
        return value
    raise InvalidInput(field=field, reason=f"must be a mapping, not {type(value).__name__}")


def require_each(field: str, value: object, check: Callable[[str, object], T], what: str) -> list[T]:
    """Return the items of a list, or of anything else that yields items in order, but no string or mapping.

    Args:
        field: the name of the argument.
        value: the items; a generator is read once.
        check: the check of each item.
        what: what the items are, such as `"user ids"`.
    """
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(value, Iterable):
        raise InvalidInput(field=field, reason=f"must be a list of {what}, not {type(value).__name__}")
    return [check(field, item) for item in value]


def require_instance(field: str, value: object, kind: type[T], example: str | None = None) -> T:
    """Return an instance of a class; `example` says what could be passed, such as `"RepeatPolicy.SAME_CODE"`."""
    if isinstance(value, kind):
        return value
    such = "" if example is None else f" such as {example}"
    raise InvalidInput(field=field, reason=f"must be a {kind.__name__}{such}, not {type(value).__name__}")


def require_zone(zone: object, field: str = "zone") -> tzinfo:
    """Return a time zone, but no `ZoneInfo` that each machine defines for itself, such as `localtime`."""
    found = require_instance(field, zone, tzinfo, "a ZoneInfo")  # type: ignore[type-abstract]
    if getattr(found, "key", None) in _ZONES_OF_THE_MACHINE:
        raise InvalidInput(
            field=field, reason=f"{found} depends on the machine; name a zone of IANA such as 'Asia/Kolkata'"
        )
    return found


def named_zone(name: object, field: str = "zone") -> tzinfo:
    """Return the time zone with a name, by the rule of `require_zone`."""
    try:
        if isinstance(name, str):
            return require_zone(ZoneInfo(name), field)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise InvalidInput(field=field, reason="must name a time zone of IANA, such as 'Asia/Kolkata'")


def require_methods(field: str, value: T, names: Iterable[str], what: str) -> T:
    """Return an object of the host's that has the methods of its protocol, but no class.

    Args:
        field: the name of the argument.
        value: the argument.
        names: the names of the methods.
        what: what must be passed, such as `"a storage"`.
    """
    if isinstance(value, type):
        raise InvalidInput(field=field, reason=f"must be {what}, not the class {value.__name__}")
    if not all(callable(getattr(value, name, None)) for name in names):
        raise InvalidInput(field=field, reason=f"must be {what}, not {type(value).__name__}")
    return value


def require_callable(field: str, value: T) -> T:
    """Return a function, or anything else that can be called."""
    if callable(value):
        return value
    raise InvalidInput(field=field, reason=f"must be a function, not {type(value).__name__}")
