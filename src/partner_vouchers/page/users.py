"""Who has which code: the Codes and Audit tabs of a list, a user's vouchers, and the holders of a code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from starlette.responses import Response

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.errors import CodeMayBeKnown, RestockNotAllowed
from partner_vouchers.page.permissions import Permission
from partner_vouchers.page.uploads import csv_download
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import explain

_SHOWN = 100


def codes(visit: Visit) -> Response:
    """Show the first assignments of a list."""
    found = visit.vouchers.lists.get(visit.request.path_params["list_id"])
    given = list(islice(visit.vouchers.codes.assignments(found.id), _SHOWN + 1))
    return visit.page("codes.html", found=found, tab="codes", given=given[:_SHOWN], more=len(given) > _SHOWN)


def export(visit: Visit) -> Response:
    """Download the codes of a list that were given out, or that are left."""
    list_id = visit.request.path_params["list_id"]
    remaining = visit.field("what") == "remaining"
    stream = visit.vouchers.codes.export(list_id, remaining=remaining, actor=visit.actor)
    kind = "remaining" if remaining else "distributed"
    return csv_download(stream, f"{kind}-{list_id}.csv")


def audit(visit: Visit) -> Response:
    """Show who changed a list, when, and from what to what."""
    found = visit.vouchers.lists.get(visit.request.path_params["list_id"])
    entries = visit.vouchers.audit.entries(
        list_id=found.id, after=visit.asked("after"), limit=50, newest_first=True
    )
    return visit.page("audit.html", found=found, tab="audit", entries=entries, after=visit.asked("after"))


def user(visit: Visit) -> Response:
    """Show a user's vouchers."""
    user_id = visit.asked("user")
    return _show(visit, user_id, visit.vouchers.codes.of_user(user_id, revoked=True) if user_id else [])


def holders(visit: Visit) -> Response:
    """Show who holds a code. It is asked for by a form, so that no address or log shows the code."""
    code = visit.field("code")
    return _show(visit, None, visit.vouchers.codes.holders(code) if code else [], searched=bool(code))


def reveal(visit: Visit) -> Response:
    """Show one whole code; the audit log says who asked."""
    revealed = visit.vouchers.codes.reveal(visit.request.path_params["assignment_id"], actor=visit.actor)
    given = visit.vouchers.codes.of_user(revealed.user_id, revoked=True)
    return _show(visit, revealed.user_id, given, revealed=revealed)


def revoke(visit: Visit) -> Response:
    """Take a code back from a user."""
    assignment_id, restock = visit.request.path_params["assignment_id"], visit.field("restock")
    try:
        revocation = visit.vouchers.codes.revoke(
            assignment_id,
            reason=visit.field("reason") or None,
            restock=bool(restock),
            force=restock == "anyway",
            actor=visit.actor,
        )
    except (CodeMayBeKnown, RestockNotAllowed) as error:
        return visit.page(
            "revoke.html",
            409,
            assignment_id=assignment_id,
            reason=visit.field("reason"),
            fault=explain(error),
            may_force=isinstance(error, CodeMayBeKnown),
        )
    return visit.redirect("user", "revoked", user=revocation.assignment.user_id)


def _show(
    visit: Visit,
    user_id: str | None,
    given: Sequence[Assignment],
    *,
    searched: bool = False,
    revealed: Assignment | None = None,
) -> Response:
    return visit.page(
        "user.html",
        user_id=user_id,
        searched=searched or user_id is not None,
        given=given,
        revealed=revealed,
        reserved=user_id and visit.supported(lambda: visit.vouchers.codes.reservations(user_id=user_id)),
    )


VIEWS = (
    ("/lists/{list_id}/codes", View("codes", codes)),
    ("/lists/{list_id}/codes/export", change("export", export, Permission.REVEAL)),
    ("/lists/{list_id}/audit", View("audit", audit)),
    ("/user", View("user", user)),
    ("/user", change("holders", holders, Permission.VIEW)),
    ("/assignments/{assignment_id}/revoke", change("revoke", revoke)),
    ("/assignments/{assignment_id}/reveal", change("reveal", reveal, Permission.REVEAL)),
)
