"""What a storage should show, as plain dicts: the model beside the state machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

Row = dict[str, Any]


def new_model(now: datetime) -> Row:
    """Return the model of an empty storage.

    The keys: `now`; `lists` by id; `links`, in the order of age; `given`, in the order of assignment; `keys` by
    idempotency key; `leases` by name; `position` up to which a sink
    has the events, and their ids, `delivered`.
    """
    return {
        "now": now,
        "lists": {},
        "links": [],
        "given": [],
        "keys": {},
        "leases": {},
        "position": 0,
        "delivered": [],
    }


def of_state(each: Row, *states: str) -> list[str]:
    """Return the codes of a list that are in one of these states: `left`, `given`, `withdrawn` or `retired`."""
    return [code["code"] for code in each["codes"] if code["state"] in states]


def holders(model: Row, list_id: str) -> dict[str, str]:
    """Return which list holds each code in the scope of a list."""
    scope = model["lists"][list_id]["scope"]
    return {
        code: other
        for other, each in model["lists"].items()
        if each["scope"] == scope and each["state"] != "Archived"
        for code in of_state(each, "left", "given", "retired")
    }


def validated(model: Row, list_id: str, codes: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the codes of a file that are accepted, and the lines that are refused."""
    held = set(holders(model, list_id))
    accepted: list[str] = []
    refused: list[int] = []
    for line, code in enumerate(codes, start=1):
        if code in held or code in accepted:
            refused.append(line)
        else:
            accepted.append(code)
    return accepted, refused


def candidates(model: Row, source: tuple[str, str]) -> list[str]:
    """Return the lists that may give a code, in order, whatever their status."""
    kind, name = source
    if kind == "list":
        return [name]
    links = sorted(
        (link["priority"], age) for age, link in enumerate(model["links"]) if link["campaign"] == name
    )
    return [model["links"][age]["list"] for _, age in links]


def is_active(model: Row, list_id: str) -> bool:
    """Tell whether a list gives codes now."""
    each = model["lists"][list_id]
    return bool(each["state"] == "Active" and model["now"] <= each["expires_at"])


def latest(model: Row, user: str, source: tuple[str, str]) -> Row | None:
    """Return what a user got last from a source."""
    found = [given for given in model["given"] if (given["user"], given["source"]) == (user, source)]
    return found[-1] if found else None


def give(model: Row, user: str, source: tuple[str, str]) -> Row | None:
    """Give a user the next code, or return None where there is none."""
    for list_id in candidates(model, source):
        if not is_active(model, list_id):
            continue
        for code in model["lists"][list_id]["codes"]:
            if code["state"] == "left":
                code["state"] = "given"
                given = {"user": user, "source": source, "list": list_id, "code": code["code"]}
                model["given"].append(given)
                return given
    return None


def counts(each: Row) -> tuple[int, ...]:
    """Return how many codes of a list were uploaded, given out, withdrawn and retired."""
    return len(each["codes"]), *(len(of_state(each, state)) for state in ("given", "withdrawn", "retired"))


def redeemed(each: Row) -> list[bool]:
    """Return, for each code of a list that was given out, whether it was used."""
    return [code.get("used", False) for code in each["codes"] if code["state"] == "given"]
