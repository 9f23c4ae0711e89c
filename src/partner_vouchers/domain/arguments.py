"""Checks of arguments that are not names: numbers, functions, and objects of a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from partner_vouchers.errors import InvalidInput

T = TypeVar("T")

_ZONES_OF_THE_MACHINE = frozenset({"localtime", "posixrules"})


def require_count(field: str, value: object, most: int | None = None) -> int:
    """Return `value` when it is a whole number from 1 to `most`.

    Args:
        field: the name of the argument.
        value: the argument.
        most: the largest allowed number; no limit by default.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= (most or value):
        return value
    limits = "of at least 1" if most is None else f"from 1 to {most}"
    raise InvalidInput(field=field, reason=f"must be a whole number {limits}")


def require_seconds(field: str, value: object) -> float:
    """Return `value` when it is a number of seconds above zero, and at most a billion.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e9:
        return value
    raise InvalidInput(field=field, reason="must be a positive number of seconds")


def require_days(since: object, until: object) -> tuple[date | None, date | None]:
    """Return the first and the last of some days; None for no bound.

    Raises:
        InvalidInput: one of them is neither a date nor None, or the last comes before the first.
    """
    first, last = _require_day("since", since), _require_day("until", until)
    if first is not None and last is not None and last < first:
        raise InvalidInput(field="until", reason="must not come before since")
    return first, last


def _require_day(field: str, value: object) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    raise InvalidInput(field=field, reason="must be a date, such as date(2027, 3, 31), or None")


def require_bool(field: str, value: object) -> bool:
    """Return `value` when it is True or False.

    Raises:
        InvalidInput: it is anything else, such as 1 or "yes".
    """
    if isinstance(value, bool):
        return value
    raise InvalidInput(field=field, reason=f"must be True or False, not {type(value).__name__}")


def is_whole(value: object, least: int, most: int) -> bool:
    """Return whether `value` is a whole number from `least` to `most`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def require_whole(field: str, value: Any, least: int, most: int, reason: str) -> int:
    """Return `value` when it is a whole number from `least` to `most`.

    Raises:
        InvalidInput: it is anything else, for this reason.
    """
    if is_whole(value, least, most):
        return int(value)
    raise InvalidInput(field=field, reason=reason)


def require_mapping(field: str, value: object) -> Mapping[Any, Any]:
    """Return `value` when it is a mapping.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(value, Mapping):
        return value
    raise InvalidInput(field=field, reason=f"must be a mapping, not {type(value).__name__}")


def require_each(field: str, value: object, check: Callable[[str, object], T], what: str) -> list[T]:
    """Return the items of a list, or of anything that yields items in order, each of them checked.

    Args:
        field: the name of the argument.
        value: the items; a generator is read once.
        check: returns an item, or raises `InvalidInput`.
        what: what the items are, such as `"user ids"`.

    Raises:
        InvalidInput: it is a string, bytes, a mapping or nothing that yields items; or an item breaks its rule.
    """
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(value, Iterable):
        raise InvalidInput(field=field, reason=f"must be a list of {what}, not {type(value).__name__}")
    return [check(field, item) for item in value]


def require_instance(field: str, value: object, kind: type[T], example: str | None = None) -> T:
    """Return `value` when it is an instance of a class.

    Args:
        field: the name of the argument.
        value: the argument.
        kind: the class.
        example: what could be passed, such as `"RepeatPolicy.SAME_CODE"`.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(value, kind):
        return value
    such = "" if example is None else f" such as {example}"
    raise InvalidInput(field=field, reason=f"must be a {kind.__name__}{such}, not {type(value).__name__}")


def require_zone(zone: object, field: str = "zone") -> tzinfo:
    """Return a time zone.

    Raises:
        InvalidInput: it is anything else, or a `ZoneInfo` that each machine defines for itself, such as `localtime`.
    """
    found = require_instance(field, zone, tzinfo, "a ZoneInfo")  # type: ignore[type-abstract]
    if getattr(found, "key", None) in _ZONES_OF_THE_MACHINE:
        raise InvalidInput(
            field=field, reason=f"{found} depends on the machine; name a zone of IANA such as 'Asia/Kolkata'"
        )
    return found


def named_zone(name: object, field: str = "zone") -> tzinfo:
    """Return the time zone with a name.

    Raises:
        InvalidInput: there is none, or each machine defines it for itself.
    """
    try:
        if isinstance(name, str):
            return require_zone(ZoneInfo(name), field)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise InvalidInput(field=field, reason="must name a time zone of IANA, such as 'Asia/Kolkata'")


def require_methods(field: str, value: object, names: Iterable[str], what: str) -> None:
    """Check that an object that the host passes has the methods of its protocol.

    Args:
        field: the name of the argument.
        value: the argument.
        names: the names of the methods.
        what: what must be passed, such as `"a storage"`.

    Raises:
        InvalidInput: it is a class, or lacks a method.
    """
    if isinstance(value, type):
        raise InvalidInput(field=field, reason=f"must be {what}, not the class {value.__name__}")
    if not all(callable(getattr(value, name, None)) for name in names):
        raise InvalidInput(field=field, reason=f"must be {what}, not {type(value).__name__}")


def require_callable(field: str, value: T) -> T:
    """Return `value` when it can be called.

    Raises:
        InvalidInput: it is anything else.
    """
    if callable(value):
        return value
    raise InvalidInput(field=field, reason=f"must be a function, not {type(value).__name__}")
