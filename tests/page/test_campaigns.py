"""Limits and refusals of a campaign, and codes that are reserved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from partner_vouchers import Limit, PartnerVouchers, RepeatPolicy
from partner_vouchers.errors import NoCodeAvailable, Unsupported
from tests.page.conftest import limits
from tests.support.host import FixedClock
from tests.support.page import Visitor, alerts

LIMITS = "/campaign/limits?id=CMP1"


def test_limits_are_set_changed_and_removed(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    wanted = [Limit(2, per="user"), Limit(9, per="campaign", period="week", zone="Asia/Kolkata")]
    filled = limits("2/user//UTC", "/user//UTC", "9/campaign/week/Asia/Kolkata")

    page = visitor.follow(visitor.post("/campaign/limits", filled))
    assert "The limits were saved." in page
    assert [usage.limit for usage in vouchers.campaigns.limits("CMP1")] == wanted
    assert [entry.actor for entry in vouchers.audit.entries().items][-1] == "asha@example.com"

    again = visitor.follow(visitor.post("/campaign/limits", filled))
    assert "Nothing was changed." in again

    removed = limits("/user//UTC") | {"before": "; ".join(map(str, wanted))}
    visitor.follow(visitor.post("/campaign/limits", removed))
    assert vouchers.campaigns.limits("CMP1") == []


def test_the_second_of_two_people_sees_that_the_limits_changed(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    vouchers.campaigns.set_limits("CMP1", [Limit(7, per="user")])

    answer = visitor.post("/campaign/limits", limits("2/user//UTC"))
    assert answer.status_code == 409
    assert "Another person changed these limits" in alerts(answer.text)[0]

    visitor.follow(visitor.post("/campaign/limits", limits("2/user//UTC") | {"before": "7 per user"}))
    assert [usage.limit.count for usage in vouchers.campaigns.limits("CMP1")] == [2]


def test_a_users_use_of_the_limits_is_shown(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    vouchers.campaigns.set_limits("CMP1", [Limit(4, per="user")])

    assert "name a user" in visitor.text(LIMITS)
    assert '<td class="n" data-label="Left">3</td>' in visitor.text(LIMITS + "&user=user-1")


@pytest.mark.parametrize(
    "path", ["/campaign/limits", "/campaign/refusals", "/campaign/limits?id=" + "x" * 300]
)
def test_without_a_campaign_there_is_nothing_to_show(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)

    assert answer.status_code == 422
    assert "Campaign" in answer.text


def test_refusals_are_counted_by_reason_day_and_list(
    visitor: Visitor, vouchers: PartnerVouchers, clock: FixedClock
) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - the page shows the last days of this machine's clock
    vouchers.campaigns.link("1", "CMP1", repeat=RepeatPolicy.NEW_CODE)
    vouchers.campaigns.set_limits("CMP1", [Limit(1, per="user")])
    for days, user_id in ((8, "user-1"), (1, "user-1"), (1, "user-2")):
        clock.now = now - timedelta(days=days)
        vouchers.campaigns.refusals("CMP1")
        if user_id == "user-2":
            vouchers.lists.pause("1")
        with pytest.raises(NoCodeAvailable):
            vouchers.codes.assign(campaign_id="CMP1", user_id=user_id)

    page = visitor.text("/campaign/refusals?id=CMP1&days=90")
    week = visitor.text("/campaign/refusals?id=CMP1&days=7")

    assert '>User limit</th><td class="n" data-label="Requests">2</td>' in page
    assert '>Inactive list</th><td class="n" data-label="Requests">1</td>' in page
    assert '>User limit</th><td class="n" data-label="Requests">1</td>' in week
    assert "By list" in week
    assert "No request was refused" in visitor.text("/campaign/refusals?id=OTHER&days=x")


def test_a_reserved_code_is_confirmed_or_released_once(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    held, left = (
        vouchers.codes.reserve(user_id=user_id, list_id="1", ttl=timedelta(minutes=15))
        for user_id in ("<b>", "user-3")
    )

    for _ in range(2):
        confirmed = visitor.post(f"/reservations/{held.id}/confirm")
        released = visitor.post(f"/reservations/{left.id}/release", {"from": "list"})
        assert "was given to its user" in visitor.follow(confirmed)
        assert released.headers["location"] == "/lists/1/reservations?done=released"

    assert (vouchers.lists.get("1").distributed, vouchers.lists.get("1").available) == (2, 1)
    assert "&lt;b&gt;" in visitor.text("/user?user=%3Cb%3E")


@pytest.mark.parametrize(
    "action, ended_by, status, says",
    [
        ("confirm", "release", 409, "was released"),
        ("release", "confirm", 409, "the user has the code"),
        ("confirm", "time", 409, "has run out"),
        ("release", "time", 303, ""),
    ],
)
def test_a_reservation_that_has_ended_is_answered_in_words(
    visitor: Visitor,
    vouchers: PartnerVouchers,
    clock: FixedClock,
    action: str,
    ended_by: str,
    status: int,
    says: str,
) -> None:
    made = vouchers.codes.reserve(user_id="user-2", list_id="1", ttl=timedelta(minutes=15))
    if ended_by == "time":
        clock.now += timedelta(hours=1)
    else:
        getattr(vouchers.codes, ended_by)(made.id)

    answer = visitor.post(f"/reservations/{made.id}/{action}")

    assert answer.status_code == status
    assert says in answer.text
    assert visitor.post(f"/reservations/unknown/{action}").status_code == 404


def test_only_open_reservations_are_shown(
    visitor: Visitor, vouchers: PartnerVouchers, clock: FixedClock
) -> None:
    vouchers.codes.reserve(user_id="user-2", list_id="1", ttl=timedelta(minutes=15))
    assert "user-2" in visitor.text("/lists/1/reservations")
    assert "PM500-SECRET" not in visitor.text("/lists/1/reservations") + visitor.text("/user?user=user-2")

    clock.now += timedelta(minutes=15)
    assert "No code is reserved" in visitor.text("/lists/1/reservations")
    assert "This user has no voucher" in visitor.text("/user?user=user-2")


def test_what_a_hosts_own_storage_does_not_keep_is_said(
    visitor: Visitor, vouchers: PartnerVouchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise Unsupported(ability="reservations")

    monkeypatch.setattr(type(vouchers.codes), "reservations", unsupported)
    monkeypatch.setattr(type(vouchers.campaigns), "limits", unsupported)

    for path in ("/lists/1/reservations", LIMITS):
        assert "The storage of your backend does not keep reservations." in visitor.get(path).text
        assert visitor.get(path).status_code == 501
    # The rest of a user is shown.
    assert "Vouchers of user-1" in visitor.text("/user?user=user-1")
