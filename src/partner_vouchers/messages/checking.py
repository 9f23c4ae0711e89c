"""Finds what is wrong with a template before a campaign runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import chain, islice
from typing import Protocol

from attrs import frozen
from liquid import BoundTemplate
from liquid.static_analysis import Variable

from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages.failures import suggest
from partner_vouchers.messages.outcomes import HasProperties

ROOTS = ["Event", "Profile", "Linked"]

MAX_FINDINGS = 100
"""How many findings `check` returns at most: the first ones."""


class NamesProperties(Protocol):
    """A class of events, or an event, that can tell which properties it may have."""

    def property_names(self) -> Iterable[str]:
        """Return the wire names of the properties."""
        ...


Names = NamesProperties | type[NamesProperties] | HasProperties | Mapping[str, object] | Iterable[str]


class FindingKind(StrEnum):
    """What sort of thing is wrong."""

    SYNTAX = "syntax"
    UNKNOWN_NAME = "unknown name"
    UNKNOWN_PROPERTY = "unknown property"
    UNKNOWN_LINKED = "unknown linked content"


@frozen(kw_only=True)
class Finding:
    """Something that is wrong with a template.

    Attributes:
        kind: what sort of thing it is.
        line: the line of the template, from 1, or None where it is not known.
        column: the column in that line, from 1, or None where it is not known.
        message: what is wrong.
        suggestion: what was probably meant, as it would stand in the template, or None.
    """

    kind: FindingKind
    line: int | None
    column: int | None
    message: str
    suggestion: str | None = None


def syntax_finding(error: MessageError) -> Finding:
    """Return the finding for a template that cannot be parsed."""
    return Finding(kind=FindingKind.SYNTAX, line=error.line, column=error.column, message=error.reason)


def findings(
    template: BoundTemplate,
    source: str,
    *,
    event: Names | None,
    profile: Iterable[str] | None,
    linked: Iterable[str] | None,
) -> list[Finding]:
    """Return what is wrong with the names in a template, in their order; those that are None are not checked."""
    known = {
        "Event": None if event is None else property_names(event),
        "Profile": None if profile is None else _names("profile", profile),
        "Linked": None if linked is None else _names("linked", linked),
    }
    globals_ = template.analyze(include_partials=False).globals
    variables = sorted(chain.from_iterable(globals_.values()), key=lambda variable: variable.span.index)
    found = chain.from_iterable(_of_variable(variable, source, known) for variable in variables)
    # Looking for what was meant takes long, and nobody reads thousands.
    return list(islice(found, MAX_FINDINGS))


def property_names(event: Names) -> list[str]:
    """Return the names of an event's properties.

    Raises:
        InvalidInput: `event` cannot tell them.
    """
    tell = getattr(event, "property_names", None) or getattr(event, "properties", None)
    if tell is not None and not isinstance(event, Mapping):
        if isinstance(event, type) and not hasattr(event, "property_names"):
            raise InvalidInput(field="event", reason="must be a class with `property_names`, or an event")
        return list(tell())
    return _names("event", event)  # type: ignore[arg-type]


def _names(argument: str, names: Iterable[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InvalidInput(field=argument, reason="must be a collection of names")
    return list(names)


def _of_variable(variable: Variable, source: str, known: Mapping[str, list[str] | None]) -> Iterator[Finding]:
    root, *path = variable.segments
    start = variable.span.index
    line = source.count("\n", 0, start) + 1
    column = start - source.rfind("\n", 0, start)
    if root not in known:
        meant = suggest(str(root), ROOTS)
        message = f"there is no {str(root)!r}; a template knows Event, Profile and Linked"
        yield Finding(
            kind=FindingKind.UNKNOWN_NAME, line=line, column=column, message=message, suggestion=meant
        )
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
    yield Finding(
        kind=FindingKind.UNKNOWN_LINKED if linked else FindingKind.UNKNOWN_PROPERTY,
        line=line,
        column=column,
        message=message,
        suggestion=None if meant is None else _written(str(root), meant),
    )


def _written(root: str, name: str) -> str:
    return f"{root}.{name}" if name.isidentifier() else f'{root}["{name}"]'
