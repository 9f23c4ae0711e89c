"""What happens to a code after it was given out stands or falls with the rows of the host's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

from partner_vouchers import Limit, PartnerVouchers, PointsCredited, RepeatPolicy
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.erasure import is_pseudonym
from partner_vouchers.domain.events import CodeRedeemed, CodeRedemptionReverted, CodeRevoked
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import (
    AlreadyConfirmed,
    AlreadyRedeemed,
    AlreadyRevoked,
    NotDistributed,
    PartnerVouchersError,
    ReservationReleased,
    UnknownAssignment,
    UnknownReservation,
)
from partner_vouchers.ports import Storage
from tests.support.host import EXPIRY, Host
from tests.support.postgres import a_storage, server
from tests.support.promo import an_event

pytestmark = pytest.mark.every_storage

TTL = timedelta(minutes=15)


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "postgres":
        with a_storage() as lent:
            yield lent
    else:
        with closing(SQLiteStorage(tmp_path / "shop.db", synchronous="NORMAL")) as opened:
            yield opened


class Shop:
    """The host's own side: a connection in a transaction, with a new table of orders."""

    def __init__(self, storage: Storage, tmp_path: Path) -> None:
        self._connect: Callable[[], Any] = (
            (lambda: sqlite3.connect(tmp_path / "shop.db"))
            if isinstance(storage, SQLiteStorage)
            else lambda: psycopg.connect(server().conninfo)
        )
        self._orders = f"orders_{uuid4().hex}"
        self.connection: Any = self._connect()

    def order(self) -> None:
        self.connection.execute(f"CREATE TABLE {self._orders} (id TEXT)")
        self.connection.execute(f"INSERT INTO {self._orders} VALUES ('order-1')")

    def has_order(self) -> bool:
        with closing(self._connect()) as other, suppress(sqlite3.Error, psycopg.Error):
            return bool(other.execute(f"SELECT id FROM {self._orders}").fetchall())
        return False

    def close(self) -> None:
        self.connection.close()
        with closing(self._connect()) as other:
            other.execute(f"DROP TABLE IF EXISTS {self._orders}")
            other.commit()


@pytest.fixture
def shop(host: Host, tmp_path: Path) -> Iterator[Shop]:
    host.vouchers.check()
    opened = Shop(host.storage, tmp_path)
    yield opened
    opened.close()


class Scene(NamedTuple):
    """A campaign with codes A to E: Ann was given A, Ben has reserved B, Dan has redeemed C."""

    list_id: str
    given: str
    reserved: str


@pytest.fixture
def scene(host: Host) -> Scene:
    codes = host.vouchers.codes
    found = host.a_list("A", "B", "C", "D", "E", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    given = codes.assign(campaign_id="CMP", user_id="ann").id
    reserved = codes.reserve(campaign_id="CMP", user_id="ben", ttl=TTL).id
    codes.assign(campaign_id="CMP", user_id="dan")
    host.vouchers.redemptions.add("C", "order-0")
    return Scene(found.id, given, reserved)


Call = Callable[[PartnerVouchers, Scene], object]
Check = Callable[[Host, Scene], object]


def change_lists(vouchers: PartnerVouchers, scene: Scene) -> None:
    vouchers.partners.add("Nike")
    made = vouchers.lists.create(partner="Nike", tag="t", name="N", expires_at=EXPIRY)
    vouchers.lists.delete(made.id)
    vouchers.lists.edit(scene.list_id, name="N")
    (upload,) = vouchers.uploads.find(list_id=scene.list_id)
    vouchers.uploads.withdraw(upload.id)
    vouchers.campaigns.unlink(scene.list_id, "CMP")
    vouchers.lists.archive(scene.list_id)


CALLS: dict[str, tuple[Call, Check]] = {
    "revoke": (
        lambda vouchers, scene: vouchers.codes.revoke(scene.given, reason="cancelled", actor="asha"),
        lambda host, scene: (
            host.vouchers.lists.get(scene.list_id).retired == 1
            and len(host.events(CodeRevoked)) == 1
            and host.vouchers.codes.of_user("ann") == []
        ),
    ),
    "revoke and restock": (
        lambda vouchers, scene: vouchers.codes.revoke(scene.given, restock=True, force=True),
        lambda host, scene: sorted(host.left(scene.list_id)) == ["A", "D", "E"],
    ),
    "redeem": (
        lambda vouchers, scene: vouchers.redemptions.add("A", "order-1"),
        lambda host, scene: (
            host.vouchers.codes.of_user("ann")[0].redeemed_at and len(host.events(CodeRedeemed)) == 2
        ),
    ),
    "revert": (
        lambda vouchers, scene: vouchers.redemptions.revert("C", "order-0"),
        lambda host, scene: (
            host.vouchers.codes.of_user("dan")[0].redeemed_at is None
            and len(host.events(CodeRedemptionReverted)) == 1
        ),
    ),
    "reserve": (
        lambda vouchers, scene: vouchers.codes.reserve(campaign_id="CMP", user_id="eve", ttl=TTL),
        lambda host, scene: [each.code for each in host.vouchers.codes.reservations(user_id="eve")] == ["D"],
    ),
    "confirm": (
        lambda vouchers, scene: vouchers.codes.confirm(scene.reserved),
        lambda host, scene: (
            [each.code for each in host.vouchers.codes.of_user("ben")] == ["B"]
            and len(host.events(VoucherRewarded)) == 3
        ),
    ),
    "reserve and confirm": (
        lambda vouchers, scene: vouchers.codes.confirm(
            vouchers.codes.reserve(list_id=scene.list_id, user_id="eve", ttl=TTL).id
        ),
        lambda host, scene: [each.code for each in host.vouchers.codes.of_user("eve")] == ["D"],
    ),
    "release": (
        lambda vouchers, scene: vouchers.codes.release(scene.reserved),
        lambda host, scene: sorted(host.left(scene.list_id)) == ["B", "D", "E"],
    ),
    "forget": (
        lambda vouchers, scene: vouchers.codes.forget_user("ann"),
        lambda host, scene: is_pseudonym(host.vouchers.codes.holders("A")[0].user_id),
    ),
    "emit": (
        lambda vouchers, scene: vouchers.events.emit(an_event(PointsCredited)),
        lambda host, scene: host.events(PointsCredited) == [an_event(PointsCredited)],
    ),
    "change lists": (
        change_lists,
        lambda host, scene: (
            [each.name for each in host.vouchers.lists.find(text="N", status="Archived")] == ["N"]
            and host.vouchers.lists.get(scene.list_id).withdrawn == 2
            and host.vouchers.campaigns.of_list(scene.list_id) == []
            and host.vouchers.partners.get("Nike")
        ),
    ),
    "set limits": (
        lambda vouchers, scene: vouchers.campaigns.set_limits("CMP", [Limit(9, per="campaign")]),
        lambda host, scene: [each.used for each in host.vouchers.campaigns.limits("CMP")] == [3],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_hosts_commit_keeps_it(host: Host, shop: Shop, scene: Scene, name: str) -> None:
    call, is_done = CALLS[name]
    with host.nothing_changes():
        shop.order()
        call(host.vouchers.using(shop.connection), scene)
        assert not shop.has_order()
    shop.connection.commit()
    assert shop.has_order()
    assert is_done(host, scene)


@pytest.mark.parametrize("name", CALLS)
def test_the_hosts_rollback_undoes_it(host: Host, shop: Shop, scene: Scene, name: str) -> None:
    call, _ = CALLS[name]
    with host.nothing_changes():
        shop.order()
        call(host.vouchers.using(shop.connection), scene)
        shop.connection.rollback()
        assert not shop.has_order()
    call(host.vouchers, scene)


REFUSED: dict[str, tuple[Call, type[PartnerVouchersError]]] = {
    "revoke": (lambda vouchers, _: vouchers.codes.revoke("999"), UnknownAssignment),
    "restock": (
        lambda vouchers, scene: (
            vouchers.codes.revoke(scene.given),
            vouchers.codes.revoke(scene.given, restock=True),
        ),
        AlreadyRevoked,
    ),
    "redeem": (lambda vouchers, _: vouchers.redemptions.add("C", "order-9"), AlreadyRedeemed),
    "redeem early": (lambda vouchers, _: vouchers.redemptions.add("E", "order-9"), NotDistributed),
    "confirm": (
        lambda vouchers, scene: (
            vouchers.codes.release(scene.reserved),
            vouchers.codes.confirm(scene.reserved),
        ),
        ReservationReleased,
    ),
    "release": (
        lambda vouchers, scene: (
            vouchers.codes.confirm(scene.reserved),
            vouchers.codes.release(scene.reserved),
        ),
        AlreadyConfirmed,
    ),
    "release nothing": (lambda vouchers, _: vouchers.codes.release("1-x"), UnknownReservation),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_ends_the_call_and_not_the_hosts_transaction(
    host: Host, shop: Shop, scene: Scene, name: str
) -> None:
    call, error = REFUSED[name]
    joined = host.vouchers.using(shop.connection)
    shop.order()
    with pytest.raises(error):
        call(joined, scene)
    assert joined.codes.assign(campaign_id="CMP", user_id="eve").code
    shop.connection.commit()
    assert shop.has_order()
    assert len(host.vouchers.codes.of_user("eve")) == 1
