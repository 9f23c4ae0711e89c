from __future__ import annotations

import pytest
from hypothesis import given

from partner_vouchers.domain.lifecycle import Status, allowed_actions
from partner_vouchers.domain.list_view import archived_view_of, view_of
from partner_vouchers.domain.stock import Counts, PercentUsed
from tests.domain.examples import COUNTS, EXPIRY, MICROSECOND, NOW, a_list, a_list_that_is


@pytest.mark.parametrize("status", Status, ids=str)
def test_a_list_is_shown_with_its_status_as_of_the_call(status: Status) -> None:
    shown = view_of(a_list_that_is(status), NOW)

    assert shown.status is status
    assert shown.allowed == allowed_actions(status)


def test_the_same_list_is_shown_otherwise_later() -> None:
    found = a_list()

    assert view_of(found, EXPIRY).status is Status.ACTIVE
    assert view_of(found, EXPIRY + MICROSECOND).status is Status.EXPIRED


def test_a_row_of_the_lists_page_says_what_the_list_is() -> None:
    found = a_list(campaigns=3, low_stock_at=PercentUsed(80), version=7)
    shown = view_of(found, NOW)

    for name in (
        *("id", "partner", "tag", "name", "description", "expires_at", "low_stock_at"),
        *("campaigns", "created_at", "updated_at", "version"),
    ):
        assert getattr(shown, name) == getattr(found, name)


@given(counts=COUNTS)
def test_the_shown_counters_add_up(counts: Counts) -> None:
    shown = view_of(a_list(counts=counts), NOW)

    assert shown.uploaded == shown.available + shown.reserved + shown.distributed + shown.withdrawn


def test_a_list_that_was_just_archived_says_which_campaigns_lose_it() -> None:
    archived, _ = a_list(campaigns=2, low_stock_at=PercentUsed(80)).archive(NOW)
    shown = archived_view_of(archived, ("CMP1", "CMP2"), NOW)

    assert shown.campaign_ids == ("CMP1", "CMP2")
    assert shown.status is Status.ARCHIVED
    assert (shown.id, shown.version) == (archived.id, archived.version)
    assert shown.low_stock_at == PercentUsed(80)
