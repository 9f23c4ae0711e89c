"""Finds mistakes in a template before a campaign runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from heapq import merge
from itertools import chain, islice
from typing import Protocol

from attrs import frozen
from liquid.builtin.expressions import Path, StringLiteral
from liquid.builtin.expressions.filtered import Filter, FilteredExpression
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral
from liquid.expression import Expression
from liquid.static_analysis import Variable
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG

from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages.dates import check_pattern
from partner_vouchers.messages.engine import Program
from partner_vouchers.messages.failures import suggest, write_path
from partner_vouchers.messages.lexer import tokenize
from partner_vouchers.messages.outcomes import HasProperties
from partner_vouchers.messages.values import Unusable

ROOTS = ["Event", "Profile", "Linked"]

MAX_FINDINGS = 100
"""How many findings `check` returns at most: the first ones."""


class NamesProperties(Protocol):
    """A class of events, or an event, that knows which properties it may have."""

    def property_names(self) -> Iterable[str]:
        """Return the wire names of the properties."""


Names = NamesProperties | type[NamesProperties] | HasProperties | Mapping[str, object] | Iterable[str]


class FindingKind(StrEnum):
    """What sort of mistake it is."""

    SYNTAX = "syntax"
    UNKNOWN_NAME = "unknown name"
    UNKNOWN_PROPERTY = "unknown property"
    UNKNOWN_LINKED = "unknown linked content"
    PROBABLE_MISTAKE = "probable mistake"


@frozen(kw_only=True)
class Finding:
    """A mistake in a template.

    Attributes:
        kind: what sort of mistake it is.
        line: the line of the template, from 1, or None where it is not known.
        column: the column in that line, from 1, or None where it is not known.
        message: describes the finding.
        suggestion: what was probably meant, as it is written in a template, or None.
    """

    kind: FindingKind
    line: int | None
    column: int | None
    message: str
    suggestion: str | None = None


_Found = tuple[int, Finding]


def syntax_finding(error: MessageError) -> Finding:
    """Return the finding for a template that cannot be parsed."""
    return Finding(kind=FindingKind.SYNTAX, line=error.line, column=error.column, message=error.reason)


def findings(
    program: Program,
    source: str,
    *,
    event: Names | None,
    profile: Iterable[str] | None,
    linked: Iterable[str] | None,
) -> list[Finding]:
    """Return the mistakes in a template, in the order of the template.

    Args:
        program: the template.
        source: its source.
        event: what knows the names of the event's properties; None if they are not checked, as for the others.
        profile: the names of the profile's properties.
        linked: the names of the linked content.
    """
    known = {
        "Event": None if event is None else property_names(event),
        "Profile": None if profile is None else _names("profile", profile),
        "Linked": None if linked is None else _names("linked", linked),
    }
    globals_ = program.template.analyze(include_partials=False).globals
    variables = sorted(chain.from_iterable(globals_.values()), key=lambda variable: variable.span.index)
    unknown = chain.from_iterable(_of_variable(variable, source, known) for variable in variables)
    of_filters = chain.from_iterable(_of_filters(each, source) for each in program.filtered)
    legal = sorted(
        chain(_ignored_branches(source), _constant_conditions(program, source), of_filters), key=_position
    )
    # Looking for similar names takes long.
    return [finding for _, finding in islice(merge(unknown, legal, key=_position), MAX_FINDINGS)]


def _position(found: _Found) -> int:
    return found[0]


def property_names(event: Names) -> list[str]:
    """Return the names of an event's properties.

    Raises:
        InvalidInput: `event` does not know them.
    """
    ask = getattr(event, "property_names", None) or getattr(event, "properties", None)
    if ask is not None and not isinstance(event, Mapping):
        if isinstance(event, type) and not hasattr(event, "property_names"):
            raise InvalidInput(field="event", reason="must be a class with `property_names`, or an event")
        return _names("event", ask())
    return _names("event", event)  # type: ignore[arg-type]


def _names(argument: str, names: Iterable[str]) -> list[str]:
    found = None if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if found is None or not all(isinstance(name, str) for name in found):
        raise InvalidInput(field=argument, reason="must be a collection of names")
    return found


def _found(
    source: str,
    index: int,
    message: str,
    suggestion: str | None,
    kind: FindingKind = FindingKind.PROBABLE_MISTAKE,
) -> _Found:
    line = source.count("\n", 0, index) + 1
    column = index - source.rfind("\n", 0, index)
    return index, Finding(kind=kind, line=line, column=column, message=message, suggestion=suggestion)


# --- names


def _of_variable(variable: Variable, source: str, known: Mapping[str, list[str] | None]) -> Iterator[_Found]:
    root, *path = variable.segments
    start = variable.span.index
    if root not in known:
        message = f"there is no {str(root)!r}; a template knows Event, Profile and Linked"
        yield _found(source, start, message, suggest(str(root), ROOTS), FindingKind.UNKNOWN_NAME)
        return
    names = known[str(root)]
    # What a value decides, as in `Event[Profile.favourite]`, is known only when a message is rendered.
    if names is None or not path or not isinstance(path[0], str) or path[0] in names:
        return
    meant = suggest(path[0], names)
    linked = root == "Linked"
    message = f"there is no linked content {path[0]!r}" if linked else f"{root} has no property {path[0]!r}"
    if meant is not None:
        message += f"; did you mean {meant!r}?"
    kind = FindingKind.UNKNOWN_LINKED if linked else FindingKind.UNKNOWN_PROPERTY
    yield _found(source, start, message, None if meant is None else write_path([str(root), meant]), kind)


# --- filters


def _of_filters(expression: FilteredExpression, source: str) -> Iterator[_Found]:
    """Find a `default` behind a filter that fails first, and the patterns of dates that fail."""
    may_be_missing = _optional(expression.left)
    fails: tuple[str, str] | None = None
    for each in expression.filters or ():
        args = [path for arg in each.args if (path := _optional(arg.value)) is not None]
        if each.name == "default":
            if fails is not None:
                path, name = fails
                message = (
                    f"`{name}` fails where {path} is missing, so `default` is too late; put it behind {path}"
                )
                yield _found(source, each.token.start_index, message, _reordered(expression, each))
                return
            if may_be_missing is not None:
                may_be_missing = args[0] if args else None
            continue
        if each.name == "date":
            # It returns the missing names.
            yield from _of_pattern(each, source)
        elif may_be_missing is not None:
            fails = fails or (may_be_missing, each.name)
        if args:
            fails = fails or (args[0], each.name)


def _optional(expression: Expression) -> str | None:
    """Return the path to a property that may be missing."""
    of_loop = ("forloop", "tablerowloop")
    if isinstance(expression, Path) and len(expression.path) > 1 and expression.path[0] not in of_loop:
        return write_path(list(expression.path))
    return None


def _reordered(expression: FilteredExpression, default: Filter) -> str | None:
    left = _optional(expression.left)
    if left is None:
        return None
    others = [each for each in expression.filters or () if each is not default]
    return " | ".join([left, *map(str, [default, *others])])


def _of_pattern(each: Filter, source: str) -> Iterator[_Found]:
    pattern = each.args[0].value if each.args else None
    if not isinstance(pattern, StringLiteral):
        return
    try:
        check_pattern(pattern.value)
    except Unusable as error:
        yield _found(source, pattern.token.start_index, error.reason, None)


# --- branches and conditions


def _constant_conditions(program: Program, source: str) -> Iterator[_Found]:
    """Find a string or a number beside `and` or `or`, such as in `x == "a" or "b"`: it always holds."""
    for expression in program.logical:
        for side in (expression.left, expression.right):
            if isinstance(side, StringLiteral | IntegerLiteral | FloatLiteral):
                message = f"{side} alone always holds; compare each value, such as `x == 'a' or x == 'b'`"
                yield _found(source, side.token.start_index, message, None)


_BLOCKS = frozenset(("if", "unless", "case", "for", "tablerow", "capture", "ifchanged"))
_LINE = re.compile(r"^[ \t]*(\w+)[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)


def _ignored_branches(source: str) -> Iterator[_Found]:
    """Find branches after an `else`, which are valid and ignored."""
    # Each block with whether its `else` came, and whether something is found in it.
    open_blocks: list[tuple[str, bool, bool]] = []
    for name, expression, index in _tags(source):
        if name in _BLOCKS:
            open_blocks.append((name, False, False))
        elif name.startswith("end") and open_blocks:
            open_blocks.pop()
        elif name in ("else", "elsif") and open_blocks and open_blocks[-1][0] in ("if", "unless"):
            block, over, reported = open_blocks.pop()
            message = suggestion = None
            if name == "else" and expression:
                condition = re.sub(r"^(if\b\s*|unless\b.*)", "", expression, flags=re.DOTALL)
                message = f"`else` takes no condition, so {expression!r} is ignored; use `elsif`"
                suggestion = f"{{% elsif {condition} %}}" if condition else None
            elif over:
                message = f"this `{name}` is ignored; `else` comes last and once, and further conditions are `elsif`"
            if message is not None and not reported:
                yield _found(source, index, message, suggestion)
            open_blocks.append((block, over or name == "else", reported or message is not None))


def _tags(source: str) -> Iterator[tuple[str, str, int]]:
    """Yield the name, the expression and the place of each tag, also within `liquid`."""
    tokens = list(tokenize(source))
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token.kind != TOKEN_TAG:
            continue
        expression = following.value if following is not None and following.kind == TOKEN_EXPRESSION else ""
        if token.value != "liquid":
            yield token.value, expression, token.start_index
        elif following is not None and expression:
            for line in _LINE.finditer(expression):
                yield line[1], line[2], following.start_index + line.start(1)
