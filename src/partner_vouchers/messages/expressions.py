"""Expressions and tags of the engine that are evaluated as messages need it.

An argument that is not needed is not evaluated, since it may look at linked content and take a code. For the same
reason a variable that looks at linked content gets its value when it is read. Values are compared and printed by the
rules of `values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO, cast

from liquid import Markup, RenderContext, Token, escape
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Identifier, LoopExpression, Path, StringLiteral
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.case_tag import CaseNode, CaseTag, MultiExpressionBlockNode, _AnyExpression
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.tablerow_tag import TableRow, TablerowNode, TablerowTag
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression
from liquid.tag import Tag
from liquid.utils import ReadOnlyChainMap

from partner_vouchers.messages.filters import is_defaulted
from partner_vouchers.messages.limits import MAX_LOOP_ITERATIONS, LimitReached
from partner_vouchers.messages.values import contains, equal, is_truthy, less, to_text

if TYPE_CHECKING:
    from partner_vouchers.messages.engine import Context

_MAX_CHAIN = 10
_ABSENT = object()


class Deferred:
    """The value of a variable that looks at linked content: it is computed when it is read for the first time.

    Attributes:
        chain: how many values that are computed one from the other this one ends.
    """

    __slots__ = ("_compute", "_names", "_value", "chain")

    def __init__(
        self, compute: Callable[[RenderContext], object], names: Mapping[str, object], chain: int
    ) -> None:
        self.chain: int = chain
        self._compute = compute
        self._names = names
        self._value: object = _ABSENT

    def get(self, context: Context) -> object:
        """Return the value, computed with the variables as they were where the template assigned it."""
        if self._value is _ABSENT:
            scope = context.scope
            context.scope = ReadOnlyChainMap(self._names, context.globals)
            try:
                self._value = self._compute(context)
            finally:
                context.scope = scope
            context.budget.read(self._value)
        return self._value


def _assign(
    context: RenderContext, name: str, roots: set[str] | None, compute: Callable[[RenderContext], object]
) -> None:
    """Keep a value under a name, or what computes it if it looks at linked content.

    Args:
        context: the render context.
        name: the name.
        roots: the first names of the paths that the value depends on; None if they are not known.
        compute: computes the value.
    """
    ours = cast("Context", context)
    if roots is None or not (ours.has_deferred or "Linked" in roots):
        context.assign(name, compute(context))
        return
    names: dict[str, object] = {}
    length = 0
    looks_up = "Linked" in roots
    for root in roots:
        value = context.scope.get(root, _ABSENT)
        if value is _ABSENT or value is context.globals.get(root, _ABSENT):
            continue
        if type(value) is Deferred:
            looks_up = True
            length = max(length, value.chain)
        # The place in a loop moves on.
        if type(value) in (ForLoop, TableRow):
            looks_up = False
            break
        names[root] = value
    if not looks_up or length >= _MAX_CHAIN:
        context.assign(name, compute(context))
        return
    ours.has_deferred = True
    context.assign(name, Deferred(compute, names, length + 1))


def _roots(expressions: Iterable[Expression]) -> set[str] | None:
    """Return the first names of the paths in some expressions, or None if one depends on a value."""
    found: set[str] = set()
    waiting = list(expressions)
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, Path):
            root = expression.path[0]
            if not isinstance(root, str):
                return None
            found.add(root)
        waiting.extend(expression.children())
    return found


# --- expressions, in place of those of the engine


class _Filtered(FilteredExpression):
    """An expression whose filters evaluate only the arguments that they need."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        value = self.left.evaluate(context)
        for each in self.filters or ():
            if each.name == "default":
                value = _default(each, value, context)
            else:
                value = cast("Context", context).apply(each, value)
        return value


def _default(each: Filter, value: object, context: RenderContext) -> object:
    """The filter `default`. Its argument is evaluated only if it takes the place of the value."""
    by_name = [arg for arg in each.args if getattr(arg, "name", None)]
    if not is_defaulted(value, lambda: bool(by_name) and by_name[0].value.evaluate(context)):
        return value
    return next((arg.value.evaluate(context) for arg in each.args if arg not in by_name), "")


class _Loop(LoopExpression):
    """A loop over nothing needs neither a limit nor an offset, and a limit of 0 is one."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> tuple[Iterator[object], int]:
        values = self.iterable.evaluate(context)
        it, length = self._to_iter(list(values) if isinstance(values, Set) else values, context)
        if not length:
            context.stopindex(key=f"{self.identifier}-{self.iterable}", index=0)
            return it, 0
        limit = self._whole(self.limit, context)
        if limit is not None and limit <= 0:
            return iter(()), 0
        goes_on = isinstance(self.offset, StringLiteral) and self.offset.value == "continue"
        offset = "continue" if goes_on else self._whole(self.offset, context)
        return self._slice(it, length, context, limit=limit, offset=offset)

    def _whole(self, expression: Expression | None, context: RenderContext) -> int | None:
        value = None if expression is None else expression.evaluate(context)
        return None if value is None else self._to_int(value, token=expression.token)  # type: ignore[union-attr]


class _Range(RangeLiteral):
    """A range that is not longer than any loop may be: `contains` would search it number by number."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        made = super().evaluate(context)
        if made.stop - made.start > MAX_LOOP_ITERATIONS:
            raise LimitReached(f"a range has more than {MAX_LOOP_ITERATIONS} numbers")
        cast("Context", context).budget.spend(len(made))
        return made


class _When(_AnyExpression):
    """The values of a `when`: those behind the first that matches are not needed."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        left = self.left.evaluate(context)
        matches = any(equal(left, right.evaluate(context)) for right in self.expressions)
        return [True] if matches else []


# Each gets the left value, and what evaluates the right one: beside nil it is not needed.
_COMPARISONS: dict[type[Expression], Callable[[object, Callable[[], object]], bool]] = {
    EqExpression: lambda left, right: equal(left, right()),
    NeExpression: lambda left, right: not equal(left, right()),
    LtExpression: lambda left, right: left is not None and less(left, right()),
    LeExpression: lambda left, right: left is not None and less(left, right(), or_equal=True),
    GtExpression: lambda left, right: left is not None and less(right(), left),
    GeExpression: lambda left, right: left is not None and less(right(), left, or_equal=True),
    ContainsExpression: lambda left, right: is_truthy(left) and contains(left, right()),
}


def _comparison(base: type[Expression]) -> type[Expression]:
    compare = _COMPARISONS[base]

    def evaluate(self: Any, context: RenderContext) -> bool:
        return compare(self.left.evaluate(context), partial(self.right.evaluate, context))

    return type(base.__name__, (base,), {"__slots__": (), "evaluate": evaluate})


REPLACED: dict[type[Expression], type[Expression]] = {
    **{base: each for each in (_Filtered, _Loop, _Range, _When) for base in each.__bases__},
    **{base: _comparison(base) for base in _COMPARISONS},
}
"""The class that takes the place of a class of the engine."""


# --- tags


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write(self.expression.evaluate(context), context, buffer)


def _write(value: object, context: RenderContext, buffer: TextIO) -> int:
    html = context.autoescape
    text = to_text(value, html=html)
    return buffer.write(escape(text) if html else text)


class _AssignNode(AssignNode):
    __slots__ = ("roots",)

    def __init__(self, token: Token, *, name: Identifier, expression: Expression) -> None:
        super().__init__(token, name=name, expression=expression)
        self.roots: set[str] | None = _roots([expression])

    def render_to_output(self, context: RenderContext, _: TextIO) -> int:
        _assign(context, self.name, self.roots, self.expression.evaluate)
        return 0


# Nodes that only write text.
_PURE = (
    ContentNode, CommentNode, OutputNode, IfNode, UnlessNode, CaseNode, BlockNode, ConditionalBlockNode,
    MultiExpressionBlockNode,
)  # fmt: skip


class _CaptureNode(CaptureNode):
    __slots__ = ("roots",)

    def __init__(self, token: Token, name: Identifier, block: BlockNode) -> None:
        super().__init__(token, name, block)
        nodes = list(_within(block))
        pure = all(isinstance(node, _PURE) for node in nodes)
        expressions = chain.from_iterable(node.expressions() for node in nodes)
        self.roots: set[str] | None = _roots(expressions) if pure else None

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:  # noqa: ARG002
        _assign(context, self.name, self.roots, self._text)
        return 0

    def _text(self, context: RenderContext) -> str:
        buffer = context.get_buffer()
        self.block.render(context, buffer)
        return Markup(buffer.getvalue()) if context.autoescape else buffer.getvalue()


def _within(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children(cast("Any", None)))


class _CaseNode(CaseNode):
    """A `case`: the blocks behind the first `when` that matches are not needed."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        written = 0
        for block in self.blocks:
            count = block.render(context, buffer)
            if not isinstance(block, MultiExpressionBlockNode):
                written += count
            elif count >= 0:
                return written + count
        return written


class _CycleNode(CycleNode):
    """A `cycle`: only the value whose turn it is is needed. One without a name is known by how it is written."""

    __slots__ = ("written",)

    def __init__(self, token: Token, group: Expression | None, args: list[Expression]) -> None:
        super().__init__(token, group, args)
        self.written: str = ", ".join(map(str, args))

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        named = self.group is not None
        key = to_text(self.group.evaluate(context)) if self.group is not None else self.written
        index = context.cycle((named, key), len(self.args))
        return _write(self.args[index].evaluate(context), context, buffer) if index < len(self.args) else 0


class _TablerowNode(TablerowNode):
    def _int_or_zero(self, arg: object) -> int:
        # Without columns all cells are in one row.
        return 0 if arg is None else super()._int_or_zero(arg)


def _tag(base: type[Tag], node: type[Node]) -> type[Tag]:
    return type(base.__name__, (base,), {"node_class": node})


TAGS: list[type[Tag]] = [
    _tag(Output, _OutputNode),
    _tag(EchoTag, _OutputNode),
    _tag(AssignTag, _AssignNode),
    _tag(CaptureTag, _CaptureNode),
    _tag(CaseTag, _CaseNode),
    _tag(CycleTag, _CycleNode),
    _tag(TablerowTag, _TablerowNode),
]
"""The tags that take the place of those of the engine."""
