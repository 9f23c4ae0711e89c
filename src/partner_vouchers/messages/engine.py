"""The Liquid engine with limits, and without what reaches other templates, the clock or unescaped HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import cache, partial
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Token, TokenStream
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Path, StringLiteral
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import LogicalAndExpression, LogicalOrExpression
from liquid.exceptions import FilterError, LiquidSyntaxError, UndefinedError, UnknownFilterError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_STRING, TOKEN_TAG
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

from partner_vouchers.messages import filters
from partner_vouchers.messages.expressions import REPLACED, TAGS, Deferred
from partner_vouchers.messages.limits import MAX_NESTING, STEP, Budget, Refused
from partner_vouchers.messages.linked import FetchFailed, UnknownLinked
from partner_vouchers.messages.values import Unusable

_TAGS = frozenset(
    """
    # assign break capture case comment continue cycle decrement doc echo for if ifchanged increment liquid
    tablerow unless content output illegal
    """.split()  # noqa: SIM905 - easier to read and to sort
)
_MAX_BRACKETS = 5


class Aborted(Exception):
    """The template skips this message."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason: str | None = reason


class Context(RenderContext):
    """The state of a message while it is rendered.

    Attributes:
        budget: the work that is left.
        zone: the time zone in which dates are shown.
        has_deferred: whether a variable may hold a value that is not computed yet.
    """

    def __init__(self, template: BoundTemplate, names: Mapping[str, object], zone: tzinfo) -> None:
        super().__init__(template, globals=names)
        # The engine's own scope, without `now` and `today`: they read the clock.
        self.scope: ReadOnlyChainMap = ReadOnlyChainMap(self.locals, names, self.counters)
        self.budget: Budget = Budget()
        self.zone: tzinfo = zone
        self.has_deferred: bool = False

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        try:
            value = super().get(path, token=token, default=default)
            kind = type(value)
            if kind is Deferred:
                value = value.get(self)  # type: ignore[attr-defined]
                kind = type(value)
        except (FetchFailed, UnknownLinked) as error:
            error.token = error.token or token
            raise
        if kind is str:
            self.budget.spend(len(value))  # type: ignore[arg-type]
        else:
            self.budget.read(value)
        return value

    def get_item(self, obj: object, key: object) -> object:
        if type(obj) is Deferred:
            obj = obj.get(self)
        if isinstance(key, bool):
            # In Python true is 1, and would lead to the second element.
            raise KeyError(key)
        if key in ("first", "last", "size") and isinstance(obj, Mapping):
            # The engine would make them up.
            return obj[key]
        return super().get_item(obj, key)

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

    def apply(self, each: Filter, left: object) -> object:
        """Return what a filter makes of a value, within the budget.

        Raises:
            FilterError: the filter fails; the error has the place in the template, and no value.
        """
        name = each.name
        args: list[object] = []
        for arg in each.args:
            if name in filters.LAZY and not self._call(each, filters.needs_next, name, left, args):
                # The result does not depend on them.
                args.extend([None] * (len(each.args) - len(args)))
                break
            args.append(arg.value.evaluate(self))
        function = self.filter(name, each.token)
        run = partial(filters.run, html=self.autoescape)
        return self._call(each, run, name, function, self.budget, left, args)

    def _call(self, each: Filter, function: Callable[..., object], *args: object) -> object:
        try:
            return function(*args)
        except (UndefinedError, MemoryError):
            raise
        except Refused as error:
            error.token = error.token or each.token
            if isinstance(error, Unusable):
                error.reason = f"{_cannot_work(each.name)}: {error.reason}"
            raise
        except Exception:  # noqa: BLE001 - filters raise nearly anything
            raise FilterError(_cannot_work(each.name), token=each.token) from None


def _cannot_work(name: str) -> str:
    return f"the filter {name!r} cannot work on this value or with these arguments"


class Output(StringIO):
    """The output of a message, or of a part of it that is captured."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget = budget

    def write(self, text: str) -> int:
        self._budget.write(len(text))
        return super().write(text)


class _Charge(Node):
    """The first node of a block: it takes the work of rendering the block once."""

    __slots__ = ("units",)

    def __init__(self, token: Token, units: int) -> None:
        super().__init__(token)
        self.units: int = units

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        context.budget.spend(self.units)  # type: ignore[attr-defined]
        return 0


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
        for each in TAGS:
            self.add_tag(each)
        self.add_tag(_AbortTag)
        for name in self.filters.keys() - filters.ALLOWED:
            del self.filters[name]
        self.filters.update(filters.FILTERS)


@cache
def environment(*, autoescape: bool) -> Environment:
    """Return the one environment for messages in plain text, or the one for those in HTML."""
    return _MessageEnvironment(undefined=StrictDefaultUndefined, autoescape=autoescape)


class Stopped(Exception):
    """A message could not be rendered.

    Attributes:
        error: the cause.
        token: the place in the template, as precisely as it is known.
    """

    def __init__(self, error: Exception, token: Token) -> None:
        super().__init__()
        self.error: Exception = error
        self.token: Token = token


class Program:
    """A template that is parsed and ready to run; threads may share it.

    Attributes:
        template: the tree of the engine.
        filtered: all expressions with filters.
        logical: all expressions with `and` and `or`.
    """

    def __init__(self, stream: TokenStream, env: Environment, zone: tzinfo) -> None:
        self.template: BoundTemplate = BoundTemplate(env, get_parser(env).parse(stream))
        self.filtered: list[FilteredExpression] = []
        self.logical: list[LogicalAndExpression | LogicalOrExpression] = []
        self._zone = zone
        self._units = self._prepare_nodes(self.template.nodes)

    def run(self, names: Mapping[str, object]) -> str:
        """Return the message.

        Raises:
            Aborted: the template skips the message.
            Stopped: rendering failed.
        """
        context = Context(self.template, names, self._zone)
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

    def _prepare_nodes(self, nodes: list[Node]) -> int:
        """Return the units of rendering some nodes once; let the blocks within them charge for themselves."""
        units = 0
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, BlockNode):
                node.nodes.insert(0, _Charge(node.token, self._prepare_nodes(node.nodes)))
                continue
            units += STEP
            for expression in node.expressions():
                units += self._prepare_expression(expression)
            waiting.extend(node.children(None))  # type: ignore[arg-type]
        return units

    def _prepare_expression(self, expression: Expression) -> int:
        """Return the units of an expression, after checking its filters and brackets and putting in our own classes."""
        units = 0
        waiting = [(expression, 0)]
        while waiting:
            expression, depth = waiting.pop()
            units += STEP
            if isinstance(expression, FilteredExpression):
                self.filtered.append(expression)
                for each in expression.filters or ():
                    units += STEP
                    self._check_filter(each)
            elif isinstance(expression, Path):
                units += len(expression.path)
                depth += 1
                # The engine's analysis takes the square of the depth.
                if depth > _MAX_BRACKETS:
                    message = f"more than {_MAX_BRACKETS} levels of brackets"
                    raise LiquidSyntaxError(message, token=expression.token)
            elif isinstance(expression, StringLiteral):
                units += len(expression.value)
            elif isinstance(expression, LogicalAndExpression | LogicalOrExpression):
                self.logical.append(expression)
            expression.__class__ = REPLACED.get(type(expression), type(expression))
            waiting.extend((child, depth) for child in expression.children())
        return units

    def _check_filter(self, each: Filter) -> None:
        function = self.template.env.filters.get(each.name)
        if function is None:
            raise UnknownFilterError(f"there is no filter {each.name!r}", token=each.token)
        by_name = [arg.name for arg in each.args if isinstance(arg, KeywordArgument)]
        filters.check_arguments(function, each.token, len(each.args) - len(by_name), by_name)
