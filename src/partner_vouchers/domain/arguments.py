"""Checks of arguments that are not names: numbers, functions, and objects of a class."""

from __future__ import annotations

from typing import TypeVar

from partner_vouchers.errors import InvalidInput

T = TypeVar("T")


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


def require_instance(field: str, value: object, kind: type[T]) -> T:
    """Return `value` when it is an instance of a class.

    Raises:
        InvalidInput: it is anything else.
    """
    if isinstance(value, kind):
        return value
    raise InvalidInput(field=field, reason=f"must be a {kind.__name__}, not {type(value).__name__}")


def require_callable(field: str, value: T) -> T:
    """Return `value` when it can be called.

    Raises:
        InvalidInput: it is anything else.
    """
    if callable(value):
        return value
    raise InvalidInput(field=field, reason=f"must be a function, not {type(value).__name__}")
