"""Open reservations: those of a list, and what can be done to one."""

from __future__ import annotations

from starlette.responses import Response

from partner_vouchers.page.visit import View, Visit, change

_SHOWN = 100


def tab(visit: Visit) -> Response:
    """Show the first open reservations of a list."""
    found = visit.vouchers.lists.get(visit.request.path_params["list_id"])
    reserved = visit.vouchers.codes.reservations(list_id=found.id)
    return visit.page(
        "reservations.html",
        found=found,
        tab="reservations",
        reserved=reserved[:_SHOWN],
        count=len(reserved),
    )


def confirm(visit: Visit) -> Response:
    """Give a reserved code to its user."""
    reward = visit.vouchers.codes.confirm(visit.request.path_params["reservation_id"])
    return _back(visit, reward.list_id, reward.user_id, "confirmed")


def release(visit: Visit) -> Response:
    """Give a reserved code back to its list."""
    ended = visit.vouchers.codes.release(visit.request.path_params["reservation_id"])
    return _back(visit, ended.list_id, ended.user_id, "released")


def _back(visit: Visit, list_id: str, user_id: str, done: str) -> Response:
    if visit.field("from") == "list":
        return visit.redirect("reservations", done, list_id=list_id)
    return visit.redirect("user", done, user=user_id)


VIEWS = (
    ("/lists/{list_id}/reservations", View("reservations", tab)),
    ("/reservations/{reservation_id}/confirm", change("confirm_reservation", confirm)),
    ("/reservations/{reservation_id}/release", change("release_reservation", release)),
)
