"""Turns every failure into one typed error that quotes the template alone: a value may be a voucher code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from liquid import Token
from liquid.exceptions import (
    BreakLoop,
    ContextDepthError,
    ContinueLoop,
    FilterError,
    LiquidError,
    LiquidTypeError,
    UndefinedError,
)
from liquid.token import TOKEN_WORD

from partner_vouchers.errors import LinkedContentFailed, MessageError, PartnerVouchersError
from partner_vouchers.messages.engine import Stopped
from partner_vouchers.messages.limits import MAX_NESTING, Refused
from partner_vouchers.messages.linked import FetchFailed, Linked, UnknownLinked

_PATH = re.compile(r"\w[\w-]*(?:\s*\.\s*\w[\w-]*|\[[^\[\]]*\])*")
_LONGEST_NAME = 100
_OPENING = re.compile(r"\{[{%]")
# `{{Linked{"…"].[code]` and its like, as a page that many copy from has it.
_LINKED = re.compile(r"Linked\s*\.?\s*[\[{(]\s*([\"'])(?P<name>[^\"'\n]*)\1(?P<rest>[^|}%]*)")
# A name as authors may write it: letters of any script with their marks, digits, signs, but no ASCII punctuation.
_NAME = r"[^\s!-,./:-@\[-^`{-~]+"
_SPACED = re.compile(
    rf"(Event|Profile)\s*\.\s*({_NAME}(?: (?!(?:and|or|contains|in|if|else|not|limit|offset|reversed|cols)\b){_NAME})+)"
)
_DOTTED = re.compile(rf"{_NAME}(?:\s*\.\s*{_NAME}|\[[^\[\]]*\])+")
_SEGMENT = re.compile(rf"{_NAME}|\[[^\[\]]*\]")
# Names that the engine reads after a dot. Its own words are no names.
_PLAIN = re.compile(r"\w[\w-]*")
_WORDS = frozenset(
    """
    true false nil null empty blank and or contains not in offset limit reversed cols continue with for as if else
    required
    """.split()  # noqa: SIM905
)
_WELL_FORMED = re.compile(r"Linked\s*\[\s*([\"'])[^\"'\n]*\1\s*\](?!\s*\.\s*\[)")


_HINTS = (
    (re.compile("unexpected tag 'el(se)?if'"), "; write `elsif`"),
    (
        re.compile("expected content, found expression"),
        "; `else` takes no condition, further ones are `elsif` or `when`",
    ),
    (re.compile("unexpected '[\u2018-\u201f]'"), "; write straight quotes, ' or \""),
    (re.compile("disallowed (parentheses|not)"), "; use `if` within `if`, or `unless`"),
    (re.compile("disallowed ternary"), "; use the tag `if`"),
)


def place(token: Token | None) -> tuple[int | None, int | None]:
    """Return line and column of a token, each from 1."""
    if token is None or token.start_index < 0 or not token.source:
        return None, None
    before = token.source[: token.start_index]
    return before.count("\n") + 1, token.start_index - before.rfind("\n")


def suggest(name: str, known: list[str]) -> str | None:
    """Return the known name that is most similar, or None."""
    if len(name) > _LONGEST_NAME:
        return None
    by_folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def write_path(segments: Sequence[object]) -> str:
    """Return a path as it is written in a template: with a dot where the engine reads the name, else in brackets."""
    root, *names = segments
    return str(root) + "".join(map(_written, names))


def _written(name: object) -> str:
    if isinstance(name, str):
        if _PLAIN.fullmatch(name) and name not in _WORDS:
            return f".{name}"
        return f"['{name}']" if '"' in name else f'["{name}"]'
    return f"[{name}]"


def parsing_failure(error: Exception, reached: Token | None) -> MessageError:
    """Return the error for a template that cannot be parsed."""
    if not isinstance(error, LiquidError):  # such as a RecursionError
        line, column = place(reached)
        return MessageError(reason=f"cannot be parsed ({type(error).__name__})", line=line, column=column)
    token = error.token
    if token is None or token.start_index < 0:
        token = reached
    line, column = place(token)
    reason = str(error.message)
    if token is not None and (right := _right_form(token)):
        reason = f"{reason}; linked content is written {right}"
    elif token is not None and token.kind not in _WORDS and (right := _with_spaces(token)):
        reason = f"{reason}; a name with spaces is written {right}"
    elif token is not None and (right := _with_signs(token)):
        reason = f"{reason}; write {right}"
    reason += next((hint for pattern, hint in _HINTS if pattern.search(reason)), "")
    return MessageError(reason=reason, line=line, column=column)


def rendering_failure(stopped: Stopped, linked: Linked, names: list[str]) -> PartnerVouchersError:
    """Return the error for a message that cannot be rendered."""
    error, token = stopped.error, stopped.token
    line, column = place(token)
    match error:
        case FetchFailed(name=name, cause=cause):
            said = cause or "its source raised an unexpected error"
            reason = f"linked content {name!r}: {said}"
            return LinkedContentFailed(name=name, cause=cause, reason=reason, line=line, column=column)
        case UnknownLinked(name=name):
            meant = suggest(name, names)
            reason = (
                f"there is no linked content {name!r}" if name in token.source else "no such linked content"
            )
            reason += f"; did you mean {meant!r}?" if meant else "; pass it in `linked=`"
        case Refused():
            reason = error.reason
        case UndefinedError():
            reason = _not_there(token, linked)
        case FilterError():
            reason = str(error.message)
        case LiquidTypeError() | TypeError():
            reason = "a value has the wrong type for this place"
        case BreakLoop() | ContinueLoop():
            reason = f"{str(error)!r} is outside of a loop"
        case UnicodeEncodeError():
            reason = "the message holds half a character (a lone surrogate), which cannot be sent"
        case ContextDepthError():
            reason = f"more than {MAX_NESTING} levels of blocks"
        case _:
            reason = f"rendering failed ({type(error).__name__})"
    return MessageError(reason=reason, line=line, column=column)


def _not_there(token: Token, linked: Linked) -> str:
    found = _PATH.match(token.source, token.start_index) if token.kind == TOKEN_WORD else None
    path = found.group() if found else "a variable"
    for name, nothing in linked.nothing.items():
        if path.startswith("Linked") and name in path:
            return f"linked content {name!r} has nothing for this user ({nothing}); add `| default:` with a replacement"
    return f"{path} is missing; correct the name, or add `| default:` with a replacement"


def _with_spaces(token: Token) -> str | None:
    """Return how the name around a place is written that has spaces and no brackets."""
    for found in _SPACED.finditer(token.source, max(token.start_index - _LONGEST_NAME, 0)):
        if found.start() > token.start_index:
            break
        if found.end() > token.start_index:
            return f'{found[1]}["{found[2][:_LONGEST_NAME]}"]'
    return None


def _with_signs(token: Token) -> str | None:
    """Return how the path around a place is written that has a name which the engine does not read after a dot."""
    begin = max(token.start_index - 2 * _LONGEST_NAME, 0)
    near = token.source[begin : token.start_index + 2 * _LONGEST_NAME]
    for found in _DOTTED.finditer(near):
        if found.start() <= token.start_index - begin <= found.end() and len(found.group()) <= _LONGEST_NAME:
            segments = _SEGMENT.findall(found.group())
            right = segments[0] + "".join(each if each[0] == "[" else _written(each) for each in segments[1:])
            return right if right != re.sub(r"\s", "", found.group()) else None
    return None


def _right_form(token: Token) -> str | None:
    """Return how the linked content in a malformed expression is written."""
    begin = max((m.start() for m in _OPENING.finditer(token.source, 0, token.start_index + 1)), default=0)
    found = _LINKED.search(token.source, begin)
    if found is None or _WELL_FORMED.match(token.source, found.start()):
        return None
    attribute = re.search(r"\w+", found["rest"])
    return f'{{{{ Linked["{found["name"]}"].{attribute.group() if attribute else "code"} }}}}'
