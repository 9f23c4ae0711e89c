"""Observers: objects that the library notifies of each call, for traces and metrics.

Pass them as `PartnerVouchers(..., observers=[...])`. Without observers nothing is wrapped, so nothing is paid. An
observer never receives a code or a user id.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from partner_vouchers.domain.arguments import require_methods
from partner_vouchers.domain.assignment import BatchOutcome, Reward
from partner_vouchers.domain.uploads import Upload, Validation
from partner_vouchers.errors import InvalidInput, PartnerVouchersError

_LOG = logging.getLogger("partner_vouchers.observers")

OK = "ok"
"""The outcome of a call that returned."""

FAILED = "failed"
"""The outcome of a call that raised something other than an error of this library."""


COUNTERS: Mapping[str, str] = {
    "codes": "Codes given to users",
    "unserved": "Users of a batch for whom there was no code",
    "rows": "Rows of uploaded or validated files",
    "errors": "Refused rows of uploaded or validated files",
    "events": "Events delivered to sinks",
}
"""What `Call.counts` can contain, and what each number is."""


class Call(NamedTuple):
    """A call of the library that has ended.

    Attributes:
        name: the group and the method, such as `"codes.assign"`.
        outcome: `"ok"`; or the `code` of the error that it raised, such as `"codes_exhausted"`; or `"failed"`.
        seconds: how long it took.
        counts: numbers of its result, such as `{"codes": 1}`; empty for most calls.
    """

    name: str
    outcome: str
    seconds: float
    counts: Mapping[str, int]


class Observer(Protocol):
    """Receives the beginning and the end of each call, on the thread of the call.

    It must be quick. An exception that it raises is logged once and not passed to the caller.
    """

    def started(self, name: str) -> object:
        """Note that a call begins. The result is passed to `ended`."""

    def ended(self, token: object, call: Call) -> None:
        """Note that a call has ended."""


def require_observers(observers: object) -> tuple[Observer, ...]:
    """Return observers whose failures are logged once, and never felt.

    Raises:
        InvalidInput: it is no sequence of objects with `started` and `ended`.
    """
    if not isinstance(observers, Sequence) or isinstance(observers, str | bytes):
        raise InvalidInput(field="observers", reason="must be a list of observers")
    for each in observers:
        require_methods("observers", each, ("started", "ended"), "objects with started and ended")
    return tuple(map(_Guarded, observers))


def observe(group: object, name: str, observers: Sequence[Observer]) -> None:
    """Let observers see the public methods of a group of use cases.

    Args:
        group: the group; other groups of its class are left alone.
        name: the name of the group, such as `"codes"`.
        observers: what `require_observers` returned.
    """
    seen: Any = group
    kind: Any = type(group)
    seen.__class__ = _observed_class(kind, name)
    seen._observers = observers


@functools.cache
def _observed_class(kind: Any, name: str) -> type:
    methods = {
        each: _observed(method, f"{name}.{each}")
        for each, method in inspect.getmembers(kind, inspect.isfunction)
        if not each.startswith("_")
    }
    return type(kind.__name__, (kind,), {**methods, "__doc__": kind.__doc__, "__module__": kind.__module__})


_NONE: Mapping[str, int] = MappingProxyType({})
_NEW: Mapping[str, int] = MappingProxyType({"codes": 1})
_REPLAYED: Mapping[str, int] = MappingProxyType({"codes": 0})


def counts_of(result: object) -> Mapping[str, int]:
    """Return the numbers of a result that metrics can add up."""
    # The hot path builds nothing.
    if isinstance(result, Reward):
        return _REPLAYED if result.replayed else _NEW
    if isinstance(result, BatchOutcome):
        new = sum(not reward.replayed for reward in result.rewards)
        return {"codes": new, "unserved": len(result.unserved)}
    if isinstance(result, Upload | Validation):
        return {"rows": result.total, "errors": result.error_count}
    delivered = getattr(result, "delivered", None)
    return {"events": delivered} if isinstance(delivered, int) else _NONE


def _observed(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        observers: Sequence[Observer] = self._observers
        tokens = [each.started(name) for each in observers]
        begun = time.perf_counter()
        outcome, counts = FAILED, _NONE
        try:
            result = method(self, *args, **kwargs)
            outcome, counts = OK, counts_of(result)
            return result
        except PartnerVouchersError as error:
            outcome = error.code
            raise
        finally:
            ended = Call(name, outcome, time.perf_counter() - begun, counts)
            for each in reversed(observers):
                each.ended(tokens.pop(), ended)

    return call


class _Guarded:
    """An observer whose failures are logged once."""

    __slots__ = ("_ended", "_has_failed", "_name", "_started")

    def __init__(self, observer: Observer) -> None:
        self._started, self._ended = observer.started, observer.ended
        self._name = type(observer).__name__
        self._has_failed = False

    def started(self, name: str) -> object:
        try:
            return self._started(name)
        except Exception as error:  # noqa: BLE001 - an observer may not disturb a call
            self._log(error)
            return None

    def ended(self, token: object, call: Call) -> None:
        try:
            self._ended(token, call)
        except Exception as error:  # noqa: BLE001
            self._log(error)

    def _log(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            _LOG.warning(
                "the observer %s failed with %s; this is logged once", self._name, type(error).__name__
            )
