"""Draws tables of the reference from the code: `python docs/_generate.py` rewrites them.

In a page, the part between `<!-- generated: NAME -->` and `<!-- end of NAME -->` is drawn by the function
of that name in `PARTS`. The rest of the page is written by hand. `PICTURES` are drawn whole. A test fails when a
page or a picture is out of date.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from attrs import fields, has

from partner_vouchers import PartnerVouchers, errors
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.lifecycle import STATUS_TABLE, Action, State, Status, allowed_actions
from partner_vouchers.domain.promo_events import PROMO_EVENTS, PromoEvent
from partner_vouchers.domain.revocation import RESTOCK_TABLE
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.serialization import attribute_names
from partner_vouchers.sinks.clevertap import FINAL_CODES, REGIONS
from partner_vouchers.wire.stored_events import EVENT_TYPES

REFERENCE = Path(__file__).parent / "reference"
PAGES = (
    *(REFERENCE / name for name in ("statuses.md", "errors.md", "events.md", "sinks.md", "json.md")),
    Path(__file__).parent / "how-to" / "revoke.md",
)


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
    """Return the list of what leads from one status to another."""
    return "\n".join(f"- {before} → {after}: {how}" for before, after, how in _transitions())


def restocking() -> str:
    """Return the table of when a revoked code may return to its list."""
    return _table(
        ("what is true", "may the code return?"),
        (
            (rule.obstacle.value, "only with `force=True`; otherwise `CodeMayBeKnown`")
            if rule.forcible
            else (rule.obstacle.value, "never: `RestockNotAllowed`")
            for rule in RESTOCK_TABLE
        ),
    )


def _transitions() -> list[tuple[Status, Status, str]]:
    """Return (before, after, how), found by trying every action on a list of each status."""
    now = datetime(2000, 1, 1, tzinfo=UTC)
    later = now + timedelta(days=1)
    do: dict[Action, Callable[[VoucherList], VoucherList]] = {
        Action.PAUSE: lambda found: found.pause(now)[0],
        Action.ACTIVATE: lambda found: found.activate(now)[0],
        Action.EDIT: lambda found: found.edit(now, expires_at=later)[0],
        Action.UPLOAD: lambda found: found,
        Action.ARCHIVE: lambda found: found.archive(now)[0],
    }
    found_ways: dict[tuple[Status, Status, str], None] = {}
    for expires_at in (now, now - timedelta(days=1)):
        for state in State:
            found = VoucherList(
                id="", partner="", tag="", name="", description="",
                expires_at=expires_at, state=state, created_at=now, updated_at=now,
            )  # fmt: skip
            before = found.status_at(now)
            was = "" if before.value == state.value else f" if the list was {state} before"
            for action in allowed_actions(before):
                after = do[action](found).status_at(now)
                if after is not before:
                    how = f"edit to a new expiry{was}" if action is Action.EDIT else str(action)
                    found_ways[before, after, how] = None
            if found.status_at(later) is not before:
                found_ways[before, found.status_at(later), "its expiry passes"] = None
    return list(found_ways)


_PLACES = {
    Status.ACTIVE: (130, 60),
    Status.PAUSED: (590, 60),
    Status.EXPIRED: (360, 190),
    Status.ARCHIVED: (360, 320),
}
_COLOURS = {"green": "#15803d", "orange": "#c2410c", "red": "#b91c1c", "gray": "#475569"}
# The path of each arrow, and where its label goes. A new transition has no entry and fails here.
_ARROWS = {
    (Status.ACTIVE, Status.PAUSED): ("M190 52H526", 360, 44),
    (Status.PAUSED, Status.ACTIVE): ("M530 70H194", 360, 88),
    (Status.ACTIVE, Status.EXPIRED): ("M160 82L302 174", 280, 128),
    (Status.EXPIRED, Status.ACTIVE): ("M300 192C200 192 135 150 132 86", 172, 174),
    (Status.PAUSED, Status.EXPIRED): ("M560 82L418 174", 440, 128),
    (Status.EXPIRED, Status.PAUSED): ("M420 192C520 192 585 150 588 86", 548, 174),
    (Status.ACTIVE, Status.ARCHIVED): ("M100 82C30 200 60 320 296 320", 110, 322),
    (Status.PAUSED, Status.ARCHIVED): ("M620 82C690 200 660 320 424 320", 610, 322),
    (Status.EXPIRED, Status.ARCHIVED): ("M360 212V294", 388, 258),
}


def statuses_picture() -> str:
    """Return the state diagram of a list's statuses as SVG, legible on light and dark pages."""
    colours = {rule.status: _COLOURS[rule.colour] for rule in STATUS_TABLE}
    lines = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 360" font-family="system-ui, sans-serif"'
            ' font-size="14" text-anchor="middle">'
        ),
        "<title>The statuses of a voucher list</title>",
        (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
            ' orient="auto"><path d="M0 0 10 5 0 10z" fill="#475569"/></marker></defs>'
        ),
        '<rect width="720" height="360" rx="8" fill="#f8fafc"/>',
    ]
    for before, after, how in _transitions():
        path, x, y = _ARROWS[before, after]
        label = how.partition(" if ")[0]
        lines += [
            f'<path d="{path}" fill="none" stroke="#475569" stroke-width="1.5" marker-end="url(#tip)"/>',
            (
                f'<text x="{x}" y="{y}" font-size="12" fill="#0f172a" stroke="#f8fafc" stroke-width="5"'
                f' paint-order="stroke">{label}</text>'
            ),
        ]
    for status, (x, y) in _PLACES.items():
        lines += [
            (
                f'<rect x="{x - 60}" y="{y - 22}" width="120" height="44" rx="22" fill="#fff"'
                f' stroke="{colours[status]}" stroke-width="2.5"/>'
            ),
            f'<text x="{x}" y="{y + 5}" font-weight="600" fill="{colours[status]}">{status}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


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


def shapes() -> str:
    """Return the table of the keys that `to_dict` gives to each class that the calls return, and to promo events."""
    found = returned_classes() | dict.fromkeys(PROMO_EVENTS, "")
    return _table(
        ("class", "from", "keys"),
        (
            (
                f"`{kind.__name__}`",
                f"`{source}`" if source else "",
                ", ".join(f"`{key}`" for key in keys_of(kind)),
            )
            for kind, source in sorted(found.items(), key=lambda each: each[0].__name__)
        ),
    )


def returned_classes() -> dict[type, str]:
    """Return the classes of what the methods of all groups return, and of its parts, with where each comes from."""
    found: dict[type, str] = {}

    def add(kind: object, source: str) -> None:
        for part in get_args(kind):
            add(part, source)
        kind = get_origin(kind) or kind
        if isinstance(kind, type) and kind not in found and keys_of(kind):
            found[kind] = source
            for name, part in get_type_hints(kind).items():
                if name in keys_of(kind):
                    add(part, f"{kind.__name__}.{name}")

    for group, methods in vars(PartnerVouchers(MemoryStorage())).items():
        if not group.startswith("_"):
            for name, method in inspect.getmembers(methods, inspect.ismethod):
                if not name.startswith("_"):
                    add(get_type_hints(method).get("return"), f"{group}.{name}")
    return found


def keys_of(kind: type) -> tuple[str, ...]:
    """Return the keys that `to_dict` gives to an object of a class of this library; none for other values."""
    if not kind.__module__.startswith("partner_vouchers."):
        return ()
    if has(kind):
        return (("event",) if issubclass(kind, Event) else ()) + attribute_names(kind)
    return getattr(kind, "_fields", ())


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
    "shapes": shapes,
    "statuses": statuses,
    "restocking": restocking,
    "transitions": transitions,
    "errors": error_classes,
}


PICTURES: dict[Path, Callable[[], str]] = {
    Path(__file__).parent / "images" / "statuses.svg": statuses_picture,
}


def up_to_date(page: str) -> str:
    """Return a page with its generated parts drawn again.

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
    """Rewrite the generated parts of all pages, and the pictures."""
    for picture, draw in PICTURES.items():
        picture.write_text(draw(), encoding="utf-8", newline="\n")
    for page in PAGES:
        page.write_text(up_to_date(page.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
