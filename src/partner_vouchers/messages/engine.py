"""The Liquid engine with everything bounded, and without what reaches other templates, the clock or raw HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Token, TokenStream
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterError, LiquidSyntaxError, UndefinedError, UnknownFilterError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_STRING, TOKEN_TAG
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

from partner_vouchers.messages import filters
from partner_vouchers.messages.limits import MAX_LOOP_ITERATIONS, MAX_NESTING, STEP, Budget, LimitReached

_TAGS = frozenset(
    """
    # assign break capture case comment continue cycle decrement doc echo for if ifchanged increment liquid
    tablerow unless content output illegal
    """.split()  # noqa: SIM905 - easier to read and to sort
)
_MAX_BRACKETS = 5


class Aborted(Exception):
    """The template says that this message shall not be sent."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason: str | None = reason


class Context(RenderContext):
    """What a template sees while it is rendered, and what it may still do."""

    def __init__(self, template: BoundTemplate, names: Mapping[str, object]) -> None:
        super().__init__(template, globals=names)
        # The engine's own scope, without `now` and `today`: they read the clock.
        self.scope: ReadOnlyChainMap = ReadOnlyChainMap(self.locals, names, self.counters)
        self.budget: Budget = Budget()

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        value = super().get(path, token=token, default=default)
        kind = type(value)
        if kind is str:
            self.budget.spend(len(value))  # type: ignore[arg-type]
        else:
            self.budget.read(value)
        return value

    def assign(self, key: str, val: object) -> None:
        self.budget.keep(key, val)
        self.locals[key] = val

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Any:
        self.budget.loop(forloop.length)
        return super().loop(namespace, forloop)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Nothing: iterations are counted in `loop`, over all loops and not only those within one another."""

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return Output(self.budget)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Return a filter that keeps to the budget, and fails with an error that tells the place in the template."""
        apply = super().filter(name, token)
        budget = self.budget

        def guarded(left: object, *args: object, **kwargs: object) -> object:
            try:
                return filters.run(name, apply, budget, left, args, kwargs)
            except (UndefinedError, LimitReached, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - filters raise nearly anything
                raise FilterError(name, token=token) from None

        return guarded


class Output(StringIO):
    """Where a message is written, and where a part of one is captured."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget = budget

    def write(self, text: str) -> int:
        self._budget.write(len(text))
        return super().write(text)


class _Toll(Node):
    """Stands at the head of a block and takes the work of going through it once."""

    __slots__ = ("units",)

    def __init__(self, token: Token, units: int) -> None:
        super().__init__(token)
        self.units: int = units

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        context.budget.spend(self.units)  # type: ignore[attr-defined]
        return 0


class _Range(RangeLiteral):
    """A range that is not longer than any loop may be: `contains` would search it number by number."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        made = super().evaluate(context)
        if made.stop - made.start > MAX_LOOP_ITERATIONS:
            raise LimitReached(f"a range has more than {MAX_LOOP_ITERATIONS} numbers")
        context.budget.spend(len(made))  # type: ignore[attr-defined]
        return made


class _AbortNode(Node):
    __slots__ = ("reason",)

    def __init__(self, token: Token, reason: str | None) -> None:
        super().__init__(token)
        self.reason: str | None = reason

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise Aborted(self.reason)


class _AbortTag(Tag):
    """`{% abort %}`, or with a reason: `{% abort "no code" %}`."""

    name = "abort"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.expect(TOKEN_TAG)
        if stream.peek.kind != TOKEN_EXPRESSION:
            return _AbortNode(token, None)
        next(stream)
        words = stream.into_inner(tag=token, eat=False)
        reason = words.eat(TOKEN_STRING)
        words.expect_eos()
        return _AbortNode(token, reason.value)


class _MessageEnvironment(Environment):
    block_nesting_limit = MAX_NESTING
    context_depth_limit = MAX_NESTING

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in self.tags.keys() - _TAGS:
            del self.tags[tag]
        self.add_tag(_AbortTag)
        for name in self.filters.keys() - filters.ALLOWED:
            del self.filters[name]
        self.add_filter("date", filters.read_date)
        self.add_filter("strip_html", filters.strip_html)


@cache
def environment(*, autoescape: bool) -> Environment:
    """Return the one environment for messages in plain text, or the one for those in HTML."""
    return _MessageEnvironment(undefined=StrictDefaultUndefined, autoescape=autoescape)


class Stopped(Exception):
    """A message could not be rendered.

    Attributes:
        error: why.
        token: the place in the template, as near as it is known.
    """

    def __init__(self, error: Exception, token: Token) -> None:
        super().__init__()
        self.error: Exception = error
        self.token: Token = token


class Program:
    """A template that is parsed and ready to run; threads may share it."""

    def __init__(self, stream: TokenStream, env: Environment) -> None:
        self.template: BoundTemplate = BoundTemplate(env, get_parser(env).parse(stream))
        self._units = _meter(self.template.nodes, env.filters)

    def run(self, names: Mapping[str, object]) -> str:
        """Return the message.

        Raises:
            Aborted: the template says so.
            Stopped: rendering failed, for whatever reason.
        """
        context = Context(self.template, names)
        context.budget.spend(self._units)
        output = Output(context.budget)
        for node in self.template.nodes:
            try:
                node.render_to_output(context, output)
            except Aborted:
                raise
            except Exception as error:  # noqa: BLE001 - filters and values raise nearly anything
                raise Stopped(error, getattr(error, "token", None) or node.token) from None
        message = output.getvalue()
        try:
            message.encode()
        except UnicodeEncodeError as error:
            raise Stopped(error, Token(TOKEN_TAG, "", -1, "")) from None
        return message


def _meter(nodes: list[Node], known: Mapping[str, object]) -> int:
    """Return the units of going through some nodes once; put tolls into the blocks within them."""
    units = 0
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, BlockNode):
            node.nodes.insert(0, _Toll(node.token, _meter(node.nodes, known)))
            continue
        units += STEP
        for expression in node.expressions():
            units += _prepare(expression, known)
        waiting.extend(node.children(None))  # type: ignore[arg-type]
    return units


def _prepare(expression: Expression, known: Mapping[str, object]) -> int:
    """Return the units of an expression, after bounding its ranges and checking its filters and brackets."""
    units = 0
    waiting = [(expression, 0)]
    while waiting:
        expression, depth = waiting.pop()
        units += STEP
        if isinstance(expression, FilteredExpression):
            for each in expression.filters or ():
                units += STEP
                if each.name not in known:
                    raise UnknownFilterError(f"there is no filter {each.name!r}", token=each.token)
        elif isinstance(expression, Path):
            units += len(expression.path)
            depth += 1
            # The engine's analysis takes the square of the depth.
            if depth > _MAX_BRACKETS:
                message = f"brackets stand more than {_MAX_BRACKETS} deep within one another"
                raise LiquidSyntaxError(message, token=expression.token)
        elif isinstance(expression, StringLiteral):
            units += len(expression.value)
        elif type(expression) is RangeLiteral:
            expression.__class__ = _Range
        waiting.extend((child, depth) for child in expression.children())
    return units
