"""Personalised messages: Liquid templates over an event and a user's profile.

A template is input from outside the program. It reaches no file, no other template and no clock, its size, loops
and nesting are bounded, and whatever goes wrong in it is a `MessageError`. The work inside a single filter, such as
`(1..100000000) | join`, and loops one after the other are not bounded yet: take templates from people you trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any, Literal, Protocol

from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Token, TokenStream
from liquid.exceptions import (
    ContextDepthError,
    FilterError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    UndefinedError,
    UnknownFilterError,
)
from liquid.parser import get_parser
from liquid.token import TOKEN_WORD
from liquid.utils import ReadOnlyChainMap

from partner_vouchers.errors import InvalidInput, MessageError

MAX_SOURCE = 100_000
"""The length of the longest template, in characters."""

MAX_MESSAGE_BYTES = 1_000_000
"""The size of the longest message, in bytes of UTF-8."""

MAX_LOOP_ITERATIONS = 10_000
"""How often loops within one another may go round, all in all."""

MAX_VARIABLE_BYTES = 1_000_000
"""How much memory the variables of a template may take, roughly."""

MAX_NESTING = 30
"""How deep blocks may stand within one another."""


class HasProperties(Protocol):
    """An event that a message can tell of, such as `VoucherRewarded`."""

    def properties(self) -> Mapping[str, object]:
        """Return the properties of the event under their wire names."""
        ...


class MessageTemplate:
    """A Liquid template, parsed once and rendered for as many users as needed; threads may share it.

    In the template, `Event` holds the properties of the event under their wire names, and `Profile` what the
    host knows about the user. A property that is not there is an error, unless the template says what to put
    in its place: `{{ Profile.name | default: 'there' }}`.

    The filter `date` reads an ISO 8601 date, or seconds since 1970, which it shows in UTC. There is no `now`.

    Example:
        >>> template = MessageTemplate("{{ Profile.name | default: 'Hi' }}, {{ Event.partner }} has a gift for you")
        >>> template.render(event={"partner": "Puma"}, profile={"name": "Asha"})
        'Asha, Puma has a gift for you'
        >>> template.render(event={"partner": "Puma"})
        'Hi, Puma has a gift for you'
    """

    def __init__(self, source: str, escape: Literal["html"] | None = None) -> None:
        """Parse a template.

        Args:
            source: the template.
            escape: `"html"` escapes all values for a message in HTML; None leaves them as they are.

        Raises:
            MessageError: the template is too long, or its syntax is wrong.
            InvalidInput: `escape` is neither `"html"` nor None.

        Example:
            >>> MessageTemplate("Hi {% nme %}")
            Traceback (most recent call last):
            partner_vouchers.errors.MessageError: message template: line 1: unexpected tag 'nme'
        """
        if escape not in ("html", None):
            raise InvalidInput(field="escape", reason="must be 'html' or None")
        if len(source) > MAX_SOURCE:
            raise MessageError(reason=f"longer than {MAX_SOURCE} characters; shorten it")
        self._template = _parse(source, _environment(autoescape=escape == "html"))

    def render(
        self, *, event: HasProperties | Mapping[str, object], profile: Mapping[str, object] | None = None
    ) -> str:
        """Return the message to one user.

        Args:
            event: what happened, such as the `event` of a reward, or the properties of an event.
            profile: what is known about the user.

        Raises:
            MessageError: the template uses a property that is not there, a filter fails, or a limit is hit.
        """
        properties = event if isinstance(event, Mapping) else event.properties()
        try:
            return self._template.render(Event=properties, Profile=profile or {})
        except Exception as error:  # noqa: BLE001 - filters raise nearly anything
            failure = _rendering_failure(error)
        # Raised outside of `except`: the engine's error may quote the voucher code, so it is not chained.
        raise failure


class _MessageContext(RenderContext):
    """What a template sees while it is rendered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The engine's own scope, without `now` and `today`: they read the clock.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Return a filter that fails with an error of the engine, which tells the place in the template."""
        apply = super().filter(name, token)

        def guarded(*args: object, **kwargs: object) -> object:
            try:
                return apply(*args, **kwargs)
            except UndefinedError:
                raise
            except Exception:  # noqa: BLE001 - filters raise nearly anything
                raise FilterError(name, token=token) from None

        return guarded


class _BoundMessage(BoundTemplate):
    context_class = _MessageContext


class _MessageEnvironment(Environment):
    """The engine with its limits on, and without what reaches other templates, the clock or raw HTML."""

    block_nesting_limit = MAX_NESTING
    context_depth_limit = MAX_NESTING
    loop_iteration_limit = MAX_LOOP_ITERATIONS
    local_namespace_limit = MAX_VARIABLE_BYTES
    output_stream_limit = MAX_MESSAGE_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        del self.tags["include"], self.tags["render"], self.filters["safe"]
        self.add_filter("date", _date)


@cache
def _environment(*, autoescape: bool) -> Environment:
    return _MessageEnvironment(undefined=StrictDefaultUndefined, autoescape=autoescape)


def _date(value: object, pattern: str) -> str:
    """The filter `date`. That of the engine reads the clock, and shows seconds in the server's time zone."""
    if isinstance(value, str):
        instant = _from_epoch(int(value)) if value.isdecimal() else datetime.fromisoformat(value)
    elif isinstance(value, datetime):
        instant = value
    elif isinstance(value, date):
        instant = datetime.combine(value, time())
    elif isinstance(value, int | float):
        instant = _from_epoch(value)
    else:
        raise TypeError("not a date")
    return instant.strftime(pattern)


def _from_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _parse(source: str, environment: Environment) -> BoundTemplate:
    # What `Environment.from_string` does, but with the stream in hand: errors at the end of an expression do
    # not tell where they are.
    stream: TokenStream | None = None
    try:
        stream = TokenStream(environment.tokenizer()(source))
        return _BoundMessage(environment, get_parser(environment).parse(stream))
    except LiquidError as error:
        line = _line(error.token) or _line_reached(source, stream)
        raise MessageError(reason=str(error.message), line=line) from error
    except Exception as error:  # such as a RecursionError
        reason = f"cannot be parsed ({type(error).__name__})"
        raise MessageError(reason=reason, line=_line_reached(source, stream)) from error


def _line(token: Token | None) -> int | None:
    if token is None or token.start_index < 0:
        return None
    return token.source.count("\n", 0, token.start_index) + 1


def _line_reached(source: str, stream: TokenStream | None) -> int | None:
    if stream is None:
        return None
    if stream.pos >= len(stream.tokens):
        return source.rstrip().count("\n") + 1
    return _line(stream.tokens[max(stream.pos - 1, 0)])


_LIMITS: dict[type[Exception], str] = {
    ContextDepthError: f"blocks stand more than {MAX_NESTING} deep within one another",
    LocalNamespaceLimitError: f"the variables take more than {MAX_VARIABLE_BYTES} bytes",
    LoopIterationLimitError: f"loops go round more than {MAX_LOOP_ITERATIONS} times",
    OutputStreamLimitError: f"the message is longer than {MAX_MESSAGE_BYTES} bytes",
}

_PATH = re.compile(r"\w[\w-]*(?:\s*\.\s*\w[\w-]*|\[[^\[\]]*\])*")


def _rendering_failure(error: Exception) -> MessageError:
    """Return what to tell of an error: only words of the template, since a value may be the voucher code."""
    token = error.token if isinstance(error, LiquidError) else None
    match error:
        case UndefinedError():
            reason = f"{_path_at(token)} is not there; correct the name, or give it a value with `| default:`"
        case UnknownFilterError() if token:
            reason = f"there is no filter {token.value!r}"
        case FilterError() if token:
            reason = f"the filter {token.value!r} cannot work on this value or with these arguments"
        case _:
            reason = _LIMITS.get(type(error), f"rendering failed ({type(error).__name__})")
    return MessageError(reason=reason, line=_line(token))


def _path_at(token: Token | None) -> str:
    found = _PATH.match(token.source, token.start_index) if token and token.kind == TOKEN_WORD else None
    return found.group() if found else "a variable"
