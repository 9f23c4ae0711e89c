"""Runs the cases of `cases/templates.toml`. Each gives a template, its data, and what it prints or what `check` finds.

| key | meaning |
| --- | --- |
| `template` | the source |
| `event`, `profile` | the properties; empty if missing |
| `event_nil`, `profile_nil` | further properties, whose value is nil, which TOML cannot express |
| `linked` | linked content by name, with its properties |
| `not_looked_up` | linked content that rendering must not fetch |
| `zone` | the name of the time zone; UTC if missing |
| `escape` | as the argument of `MessageTemplate` |
| `expected` | the message |
| `error` | the class of the error that `render` raises instead |
| `or_error_mentions` | an error is right as well if its text contains this |
| `check_mentions` | a finding of `check()` contains this in its message or suggestion |
| `check_finds_nothing` | `check()` finds nothing |
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from partner_vouchers import errors
from partner_vouchers.errors import MessageError
from partner_vouchers.messages import MessageTemplate
from tests.messages.sources import Source

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "cases" / "templates.toml").read_text(encoding="utf-8")
)["case"]


def made(case: Mapping[str, Any]) -> MessageTemplate:
    zone = ZoneInfo(case["zone"]) if "zone" in case else UTC
    return MessageTemplate(case["template"], escape=case.get("escape"), zone=zone)


def render(case: Mapping[str, Any]) -> str | None:
    sources = {name: Source(properties) for name, properties in case.get("linked", {}).items()}
    try:
        return made(case).render(
            event={**case.get("event", {}), **dict.fromkeys(case.get("event_nil", ()))},
            profile={**case.get("profile", {}), **dict.fromkeys(case.get("profile_nil", ()))},
            linked=sources,
        )
    finally:
        assert [name for name in case.get("not_looked_up", ()) if sources[name].asked] == []


def outcome(case: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the message, or what is expected where an error is right as well."""
    try:
        return (render(case),)
    except MessageError as error:
        if case.get("or_error_mentions", "\0") in str(error):
            return (case["expected"],)
        raise


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["about"])
def test_case(case: Mapping[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(getattr(errors, case["error"])):
            render(case)
    elif "expected" in case:
        assert case["expected"] in outcome(case)
    if "check_mentions" in case:
        found = [f"{each.message} {each.suggestion}" for each in made(case).check()]
        assert any(case["check_mentions"] in each for each in found), found
    if case.get("check_finds_nothing"):
        assert made(case).check() == []
