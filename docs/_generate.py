"""Draws tables of the reference from the code: `python docs/_generate.py` rewrites them.

In a page, what stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->` is drawn by the part
of that name in `PARTS`. The rest of the page is written by hand. A test fails when a page is out of date.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import fields

from partner_vouchers import errors
from partner_vouchers.domain.lifecycle import STATUS_TABLE, Action, State, allowed_actions
from partner_vouchers.domain.promo_events import PROMO_EVENTS, PromoEvent
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.sinks.clevertap import FINAL_CODES, REGIONS
from partner_vouchers.wire.stored_events import EVENT_TYPES

REFERENCE = Path(__file__).parent / "reference"
PAGES = (REFERENCE / "statuses.md", REFERENCE / "errors.md", REFERENCE / "events.md", REFERENCE / "sinks.md")


def statuses() -> str:
    """Return the table of what each status means and allows."""
    return _table(
        ("status", "colour", "meaning", "allowed actions"),
        (
            (rule.status, rule.colour, rule.meaning, ", ".join(rule.allowed) or "none")
            for rule in STATUS_TABLE
        ),
    )


def transitions() -> str:
    """Return the list of what leads from one status to another, found by doing it to a list."""
    now = datetime(2000, 1, 1, tzinfo=UTC)
    later = now + timedelta(days=1)
    do: dict[Action, Callable[[VoucherList], VoucherList]] = {
        Action.PAUSE: lambda found: found.pause(now)[0],
        Action.ACTIVATE: lambda found: found.activate(now)[0],
        Action.EDIT: lambda found: found.edit(now, expires_at=later)[0],
        Action.UPLOAD: lambda found: found,
        Action.ARCHIVE: lambda found: found.archive(now)[0],
    }
    lines: dict[str, None] = {}
    for expires_at in (now, now - timedelta(days=1)):
        for state in State:
            found = VoucherList(
                id="", partner="", tag="", name="", description="",
                expires_at=expires_at, state=state, created_at=now, updated_at=now,
            )  # fmt: skip
            before = found.status_at(now)
            was = "" if before.value == state.value else f", where the list was {state} before"
            for action in allowed_actions(before):
                after = do[action](found).status_at(now)
                if after is not before:
                    how = f"{action} to a new expiry{was}" if action is Action.EDIT else action
                    lines[f"- {before} → {after}: {how}"] = None
            if found.status_at(later) is not before:
                lines[f"- {before} → {found.status_at(later)}: by itself, when its expiry has passed"] = None
    return "\n".join(lines)


def error_classes() -> str:
    """Return the table of all errors, each under the one that it is a kind of."""
    found = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, PartnerVouchersError)
    ]
    return _table(
        ("error", "code", "meaning", "is a kind of"),
        (
            (
                f"`{error.__name__}`",
                f"`{error.code}`",
                _first_line(error),
                f"`{error.__base__.__name__}`" if error.__base__ else "",
            )
            for error in found
        ),
    )


def promo_events() -> str:
    """Return a table for each promo event: its properties in every wire form."""
    parts = []
    for event in PROMO_EVENTS:
        table = event.table
        heads = [f"{form} (default)" if number == 0 else form for number, form in enumerate(table.forms)]
        rows = [
            (
                *(f"`{name}`" if name else "" for name in row.names),
                f"`{row.attribute}`",
                ", ".join(map(_json, row.choices)) or row.format.label,
                "optional" if row.optional else "",
            )
            for row in table.rows
        ]
        parts.append(
            f"### `{event.event_name}`\n\n{_first_line(event)} Class `{event.__name__}`.\n\n"
            + _table((*heads, "attribute", "value", ""), rows)
        )
    return "\n\n".join(parts)


def own_events() -> str:
    """Return the table of the library's own events, with what a sink is told of each."""
    return _table(
        ("event", "class", "meaning", "facts"),
        (
            (
                f"`{name}`",
                f"`{event.__name__}`",
                _first_line(event),
                ", ".join(f"`{each.name}`" for each in fields(event) if each.name != "occurred_at"),
            )
            for name, event in EVENT_TYPES.items()
            if not issubclass(event, PromoEvent)
        ),
    )


def clevertap_codes() -> str:
    """Return the table of CleverTap's codes that are final."""
    return _table(("code", "why"), ((str(code), why) for code, why in FINAL_CODES.items()))


def clevertap_regions() -> str:
    """Return the table of CleverTap's regions."""
    return _table(("region", "host"), ((f"`{region}`", f"`{url}`") for region, url in REGIONS.items()))


def _first_line(found: type) -> str:
    return (inspect.getdoc(found) or "").splitlines()[0]


def _json(text: str) -> str:
    return f'`"{text}"`'


PARTS: dict[str, Callable[[], str]] = {
    "codes": clevertap_codes,
    "regions": clevertap_regions,
    "promo": promo_events,
    "own": own_events,
    "statuses": statuses,
    "transitions": transitions,
    "errors": error_classes,
}


def up_to_date(page: str) -> str:
    """Return a page with its generated parts drawn anew.

    Raises:
        ValueError: the page has no generated part, or one without its end.
        KeyError: nothing draws a part of this name.
    """
    pieces = re.split(r"(<!-- (?:generated:|end of) [a-z]+ -->\n)", page)
    marks = [re.findall(r"generated:|end of|[a-z]+(?= -->)", mark) for mark in pieces[1::2]]
    names = [name for kind, name in marks if kind == "generated:"]
    if not names or marks != [[kind, name] for name in names for kind in ("generated:", "end of")]:
        raise ValueError("a page needs pairs of <!-- generated: NAME --> and <!-- end of NAME -->")
    for position, name in enumerate(names):
        pieces[4 * position + 2] = f"\n{PARTS[name]()}\n\n"
    return "".join(pieces)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def main() -> None:
    """Rewrite the generated parts of all pages."""
    for page in PAGES:
        page.write_text(up_to_date(page.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
