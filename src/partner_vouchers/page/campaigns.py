"""The Campaigns tab of a list, and the campaigns with their lists."""

from __future__ import annotations

from contextlib import suppress

from starlette.responses import Response

from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.errors import NotLinked, PartnerVouchersError
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import faults_of, status_code_of


def tab(visit: Visit) -> Response:
    """Show the campaigns of a list."""
    return _links(visit, {}, 200)


def link(visit: Visit) -> Response:
    """Link a campaign, or change its link."""
    list_id = visit.request.path_params["list_id"]
    priority = visit.number("priority")
    if priority is None and visit.field("priority"):
        return _links(visit, {"priority": "must be a whole number"}, 422)
    try:
        visit.vouchers.campaigns.link(
            list_id,
            visit.field("campaign_id"),
            repeat=RepeatPolicy(visit.field("repeat") or RepeatPolicy.SAME_CODE.value),
            priority=priority or 0,
            eligibility=visit.field("eligibility") or None,
            actor=visit.actor,
        )
    except PartnerVouchersError as error:
        return _links(visit, faults_of(error), status_code_of(error))
    except ValueError:
        return _links(visit, {"repeat": "choose one of the list"}, 422)
    return visit.redirect("campaigns", "linked", list_id=list_id)


def unlink(visit: Visit) -> Response:
    """Unlink a campaign."""
    list_id = visit.request.path_params["list_id"]
    # A double click unlinks once.
    with suppress(NotLinked):
        visit.vouchers.campaigns.unlink(list_id, visit.field("campaign_id"), actor=visit.actor)
    return visit.redirect("campaigns", "unlinked", list_id=list_id)


def show(visit: Visit) -> Response:
    """Show all campaigns, or one with its lists."""
    campaign_id = visit.asked("id")
    if campaign_id is None:
        after = visit.asked("after")
        page = visit.vouchers.campaigns.all(after=after)
        return visit.page("campaigns_all.html", campaigns=page, after=after, campaign_id="")
    links = visit.vouchers.campaigns.lists_of(campaign_id)
    lists = [visit.vouchers.lists.get(link.list_id) for link in links]
    return visit.page(
        "campaign_lists.html",
        campaign_id=campaign_id,
        tab="campaign",
        pairs=list(zip(links, lists, strict=True)),
    )


def _links(visit: Visit, faults: dict[str, str], status_code: int) -> Response:
    found = visit.vouchers.lists.get(visit.request.path_params["list_id"])
    links = visit.vouchers.campaigns.of_list(found.id)
    values = {name: visit.field(name) for name in ("campaign_id", "repeat", "priority", "eligibility")}
    return visit.page(
        "campaigns.html",
        status_code,
        found=found,
        tab="campaigns",
        links=links,
        faults=faults,
        values=values,
        policies=list(RepeatPolicy),
    )


VIEWS = (
    ("/lists/{list_id}/campaigns", View("campaigns", tab)),
    ("/lists/{list_id}/campaigns", change("link", link)),
    ("/lists/{list_id}/campaigns/unlink", change("unlink", unlink)),
    ("/campaign", View("campaign", show)),
)
