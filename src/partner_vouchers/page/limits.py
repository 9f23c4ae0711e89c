"""The limits of a campaign, and how often it refused a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from starlette.responses import Response

from partner_vouchers.domain.limits import Limit, Per, Period
from partner_vouchers.domain.refusals import RefusalReason
from partner_vouchers.errors import InvalidInput, PartnerVouchersError
from partner_vouchers.page.visit import View, Visit, change
from partner_vouchers.page.wording import faults_of, status_code_of
from partner_vouchers.vouchers import utc_now

_SPANS = (7, 28, 90)
_BLANK_ROWS = 2
_ADVICE = {
    RefusalReason.NOT_LINKED: "No list is linked to the campaign. Link one.",
    RefusalReason.USER_LIMIT: "Users had what a limit allows them. Raise the limit if that was not meant.",
    RefusalReason.CAMPAIGN_LIMIT: "The campaign had given what a limit allows. Raise it, or wait until it frees.",
    RefusalReason.INACTIVE_LIST: "No linked list was Active. Activate or extend one.",
    RefusalReason.NOT_ELIGIBLE: "Your backend's rule of eligibility refused the users.",
    RefusalReason.EXHAUSTED: "No code was left. Upload more codes, or link another list.",
}
_STALE = (
    "Another person changed these limits since you opened them, so nothing was saved. "
    "The form shows what you entered. Save again to replace what is stored now."
)
_FIELDS = ("count", "per", "period", "zone")


def show(visit: Visit) -> Response:
    """Show the limits of a campaign, and what a user has used of them."""
    return _limits(visit, visit.asked("id") or "", None, {}, 200)


def save(visit: Visit) -> Response:
    """Replace the limits of a campaign."""
    campaign_id = visit.field("campaign_id")
    rows = [row for row in _rows_of_form(visit) if row["count"]]
    faults: dict[str, str] = {}
    wanted = [
        limit
        for number, row in enumerate(rows)
        if (limit := _limit(row, f"count_{number}", faults)) is not None
    ]
    if faults:
        return _limits(visit, campaign_id, rows, faults, 422)
    campaigns = visit.vouchers.campaigns
    before = [usage.limit for usage in campaigns.limits(campaign_id)]
    if visit.field("before") != _said(before) and before != wanted:
        return _limits(visit, campaign_id, rows, {"": _STALE}, 409)
    try:
        campaigns.set_limits(campaign_id, wanted, actor=visit.actor)
    except PartnerVouchersError as error:
        return _limits(visit, campaign_id, rows, faults_of(error), status_code_of(error))
    return visit.redirect("limits", "unchanged" if before == wanted else "limited", id=campaign_id)


def refusals(visit: Visit) -> Response:
    """Show how often the campaign refused a request, by day, reason and list."""
    campaign_id = visit.asked("id") or ""
    asked = visit.asked("days") or ""
    days = int(asked) if asked in map(str, _SPANS) else _SPANS[1]
    since = utc_now().date() - timedelta(days=days - 1)
    found = visit.vouchers.campaigns.refusals(campaign_id, since=since)
    by_day: dict[date, Counter[RefusalReason]] = {}
    by_list: dict[str, Counter[RefusalReason]] = {}
    for each in sorted(found, key=lambda each: each.day, reverse=True):
        counts = (
            by_day.setdefault(each.day, Counter())
            if each.list_id is None
            else by_list.setdefault(each.list_id, Counter())
        )
        counts[each.reason] += each.count
    return visit.page(
        "refusals.html",
        campaign_id=campaign_id,
        tab="refusals",
        days=days,
        spans=_SPANS,
        total=sum((counts for counts in by_day.values()), Counter()),
        by_day=by_day,
        by_list=by_list,
        reasons=list(RefusalReason),
        advice=_ADVICE,
    )


def _rows_of_form(visit: Visit) -> Iterator[dict[str, str]]:
    number = 0
    while f"count_{number}" in visit.form:
        yield {name: visit.field(f"{name}_{number}") for name in _FIELDS}
        number += 1


def _limit(values: dict[str, str], name: str, faults: dict[str, str]) -> Limit | None:
    count, period = values["count"], values["period"] or None
    if not (count.isascii() and count.isdigit() and len(count) < 11):
        faults[name] = "must be a whole number; leave it empty for no limit"
        return None
    try:
        return Limit(int(count), per=values["per"], period=period, zone=values["zone"] if period else None)
    except InvalidInput as error:
        faults[name] = error.reason
        return None


def _limits(
    visit: Visit,
    campaign_id: str,
    rows: Sequence[dict[str, str]] | None,
    faults: dict[str, str],
    status_code: int,
) -> Response:
    user_id = visit.asked("user")
    usages = visit.vouchers.campaigns.limits(campaign_id, user_id=user_id)
    if rows is None:
        rows = [
            {
                "count": str(usage.limit.count),
                "per": usage.limit.per.value,
                "period": usage.limit.period.value if usage.limit.period else "",
                "zone": usage.limit.zone or str(visit.zone),
            }
            for usage in usages
        ]
    blank = {"count": "", "per": "", "period": "", "zone": str(visit.zone)}
    return visit.page(
        "limits.html",
        status_code,
        campaign_id=campaign_id,
        tab="limits",
        user_id=user_id,
        usages=usages,
        before=_said([usage.limit for usage in usages]),
        rows=[*rows, *[blank] * _BLANK_ROWS],
        pers=[each.value for each in Per],
        periods=[each.value for each in Period],
        faults=faults,
    )


def _said(limits: Sequence[Limit]) -> str:
    return "; ".join(map(str, limits))


VIEWS = (
    ("/campaign/limits", View("limits", show)),
    ("/campaign/limits", change("set_limits", save)),
    ("/campaign/refusals", View("refusals", refusals)),
)
