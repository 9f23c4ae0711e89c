"""Splits a template into tokens, in time that is linear in its length.

The lexer of the engine is one regular expression, which takes the square of the length on hostile sources, such as a
tag that is never closed or one full of spaces. This one yields the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from liquid.exceptions import LiquidSyntaxError
from liquid.token import (
    TOKEN_COMMENT,
    TOKEN_CONTENT,
    TOKEN_EOF,
    TOKEN_EXPRESSION,
    TOKEN_OUTPUT,
    TOKEN_TAG,
    Token,
)

from partner_vouchers.messages.limits import MAX_EXPRESSION

_OPENING = re.compile(r"\{\{-?|\{%-?")
_NAME = re.compile(r"#|\w+")
_COMMENTS = re.compile(r"\{%-?[ \t\r\n]*(?:(end)?comment\b|(raw|doc)[ \t\r\n]*-?%\})")
_RAW_ENDS = {name: re.compile(rf"\{{%(-?)\s*end{name}\s*(-?)%\}}") for name in ("raw", "doc")}
_MAX_BLANKS = 100
_BLANKS = re.compile(r"[ \t\r]{" + str(_MAX_BLANKS + 1) + "}")


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens of a template.

    Raises:
        LiquidSyntaxError: something is not closed, is too long, or has no name.
    """
    position = 0
    strip_next = False
    while opening := _OPENING.search(source, position):
        start = opening.start()
        content = source[position:start]
        if strip_next:
            content = content.lstrip()
        if opening.group().endswith("-"):
            content = content.rstrip()
        if content:
            yield Token(TOKEN_CONTENT, content, position, source)

        if opening.group().startswith("{{"):
            inner, inner_at, position, strip_next = _inside(source, opening, "}}")
            _check(inner, inner_at, source)
            yield Token(TOKEN_OUTPUT, source[start:position], start, source)
            yield Token(TOKEN_EXPRESSION, inner, inner_at, source)
            continue

        inner, inner_at, position, strip_next = _inside(source, opening, "%}")
        name = _NAME.match(inner)
        if name is None:
            raise _error("missing tag name", start, source)
        if name.group() in _RAW_ENDS and inner == name.group():
            end = _RAW_ENDS[inner].search(source, position)
            if end is None:
                raise _error(f"{inner} is never closed", start, source)
            if inner == "raw":
                yield Token(TOKEN_CONTENT, source[position : end.start()], position, source)
            position, strip_next = end.end(), bool(end.group(2))
            continue

        expression = inner[name.end() :].lstrip()
        expression_at = inner_at + len(inner) - len(expression)
        for line in inner.split("\n") if name.group() == "liquid" else [inner]:
            _check(line, expression_at, source)
        yield Token(TOKEN_TAG, name.group(), inner_at, source)
        if expression:
            yield Token(TOKEN_EXPRESSION, expression, expression_at, source)
        if name.group() == "comment":
            begun = position
            end = _end_of_comment(source, position, start)
            yield Token(TOKEN_COMMENT, source[begun : end.start()], begun, source)
            position = end.start()
            strip_next = False

    rest = source[position:].lstrip() if strip_next else source[position:]
    if rest:
        yield Token(TOKEN_CONTENT, rest, position, source)


def _inside(source: str, opening: re.Match[str], closing: str) -> tuple[str, int, int, bool]:
    """Return the content between delimiters, its start, where the source goes on, and whether to strip what follows."""
    end = source.find(closing, opening.end())
    if end < 0:
        message = f"expected '{closing}', found end of file"
        raise _error(message, opening.start(), source)
    strips = end > opening.end() and source[end - 1] == "-"
    inner = source[opening.end() : end - strips]
    stripped = inner.lstrip()
    at = opening.end() + len(inner) - len(stripped)
    return stripped.rstrip(), at, end + len(closing), strips


def _check(expression: str, at: int, source: str) -> None:
    """Refuse an expression that the engine would take long to read."""
    if len(expression) > MAX_EXPRESSION:
        raise _error(f"longer than {MAX_EXPRESSION} characters between its delimiters", at, source)
    if _BLANKS.search(expression):
        raise _error(f"more than {_MAX_BLANKS} spaces in a row", at, source)


def _end_of_comment(source: str, position: int, start: int) -> re.Match[str]:
    """Return the tag that ends a comment. Comments nest, and a raw block in one contains no tags."""
    depth = 1
    closed = dict.fromkeys(_RAW_ENDS, True)
    while tag := _COMMENTS.search(source, position):
        position = tag.end()
        if raw := tag.group(2):
            # Without its end it is part of the comment. The search for one is not repeated.
            end = _RAW_ENDS[raw].search(source, position) if closed[raw] else None
            closed[raw] = end is not None
            position = end.end() if end else position
            continue
        depth += -1 if tag.group(1) else 1
        if not depth:
            return tag
    raise _error("comment tag was never closed", start, source)


def _error(message: str, at: int, source: str) -> LiquidSyntaxError:
    return LiquidSyntaxError(message, token=Token(TOKEN_EOF, "", at, source))
