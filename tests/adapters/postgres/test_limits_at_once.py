"""New limits count what other transactions are giving back or confirming, also codes of lists that are not linked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from partner_vouchers import Limit, PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from tests.adapters.postgres.conftest import Connect
from tests.support.host import PATIENCE, FixedClock, Host, wait_until
from tests.support.postgres import connections_of

CAMPAIGN = "CMP"


def revoke(host: Host, joined: PartnerVouchers) -> None:
    joined.codes.revoke(host.vouchers.codes.of_user("ann")[0].id)


def release(host: Host, joined: PartnerVouchers) -> None:
    joined.codes.release(host.vouchers.codes.reservations(user_id="ben")[0].id)


def confirm(host: Host, joined: PartnerVouchers) -> None:
    joined.codes.confirm(host.vouchers.codes.reservations(user_id="ben")[0].id)


def look_after_the_run_out(host: Host, joined: PartnerVouchers) -> None:
    host.clock.advance(hours=2)
    joined.codes.assign(list_id="1", user_id="cleo")


@pytest.mark.parametrize(
    "change,used", [(revoke, 1), (release, 1), (confirm, 2), (look_after_the_run_out, 1)]
)
def test_new_limits_wait_for_a_transaction_that_changes_their_counts(
    named: PostgresStorage,
    schema: str,
    connect: Connect,
    change: Callable[[Host, PartnerVouchers], None],
    used: int,
) -> None:
    host = Host(named, FixedClock())
    list_id = host.a_list("A11", "A22", "A33", campaign=CAMPAIGN).id
    codes, campaigns = host.vouchers.codes, host.vouchers.campaigns
    codes.assign(campaign_id=CAMPAIGN, user_id="ann")
    codes.reserve(campaign_id=CAMPAIGN, user_id="ben", ttl=timedelta(hours=1))
    campaigns.unlink(list_id, CAMPAIGN)
    connection = connect(options=f"-c search_path={schema}")
    change(host, host.vouchers.using(connection))
    with ThreadPoolExecutor(1) as thread:
        setting = thread.submit(campaigns.set_limits, CAMPAIGN, [Limit(9, per="campaign")])
        wait_until(lambda: setting.done() or connections_of(schema, "wait_event_type = 'Lock'"))
        assert not setting.done()
        connection.commit()
        setting.result(PATIENCE)
    (usage,) = campaigns.limits(CAMPAIGN)
    assert usage.used == used
