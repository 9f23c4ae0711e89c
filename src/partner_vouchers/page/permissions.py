"""Permissions: the host decides about each request."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

_LOG = logging.getLogger("partner_vouchers.page")


class Permission(StrEnum):
    """The permission that a request needs.

    `VIEW`: to look at lists, uploads, campaigns, users, events and the audit log, with codes masked. `CHANGE`: to
    change anything. `REVEAL`: to see whole codes, or to download a file with whole codes.
    """

    VIEW = "view"
    CHANGE = "change"
    REVEAL = "reveal"


Authorize = Callable[[Request, Permission], "str | Awaitable[str | None] | None"]
"""Decides whether a request may do something.

It is given the request and the permission, and returns the name of the person for the audit log, or None to refuse.
It may be a coroutine function; a plain function runs in a worker thread. It is also asked for what a page may offer, so
that people see only the buttons that they may use; its answer to the request itself is what counts.
"""


def deny_all(request: Request, permission: Permission) -> str | None:
    """Refuse everything: what happens where a host passes no `authorize`."""
    del request, permission
    return None


async def authorized_actor(authorize: Authorize, request: Request, permission: Permission) -> str:
    """Return the name of the person who makes a request.

    Raises:
        HTTPException: 403, where `authorize` refuses.
    """
    if inspect.iscoroutinefunction(authorize):
        actor = await authorize(request, permission)
    else:
        actor = await run_in_threadpool(authorize, request, permission)
        if inspect.isawaitable(actor):
            actor = await actor
    if not isinstance(actor, str) or not actor:
        raise HTTPException(403, f"You may not {permission.value} here. Ask the administrator of this page.")
    return actor


async def permissions_of(authorize: Authorize, request: Request) -> frozenset[Permission]:
    """Return what the person who makes a request may do, so that a page offers nothing else."""
    granted = set()
    for permission in Permission:
        try:
            await authorized_actor(authorize, request, permission)
        except HTTPException:
            continue
        except Exception as error:  # noqa: BLE001 - it fails the request that needs this permission, not this page
            _LOG.error("authorize failed for %s: %s", permission.value, type(error).__name__)
            continue
        granted.add(permission)
    return frozenset(granted)
