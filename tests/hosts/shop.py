"""A shop whose orders are a model of SQLAlchemy."""

from __future__ import annotations

import re

import pytest
from attrs import frozen
from sqlalchemy import Engine, NullPool, String, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from partner_vouchers import PartnerVouchers, RepeatPolicy
from partner_vouchers.aio import AsyncPartnerVouchers
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import Storage
from tests.support.host import EXPIRY, Host, a_file

ANOTHER = re.compile(r"other\.db|another database")
"""How the storages say that a connection is to another database."""


@frozen
class Place:
    """A database, as its three users know it.

    Attributes:
        storage: the library's.
        url: that of SQLAlchemy's engines.
        other_url: that of a database in which the storage is not.
        django: the settings of Django's connections.
        conninfo: that of psycopg's connections, where it is a server.
    """

    storage: Storage
    url: str
    other_url: str
    django: dict[str, object]
    conninfo: str = ""


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(String(50), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(50))
    code: Mapped[str | None] = mapped_column(String(200), unique=True)


def begins_by_itself(engine: Engine) -> Engine:
    """Let SQLAlchemy begin the transactions on SQLite, as its own documentation tells."""

    @event.listens_for(engine, "connect")
    def leave_transactions_alone(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection) -> None:  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def place_order(vouchers: PartnerVouchers, session: Session, order_id: str, list_id: str) -> str:
    """Do what the shop does in one transaction: write the order, and give a code for it."""
    order = Order(id=order_id, user_id=order_id)
    session.add(order)
    reward = vouchers.using(session).codes.assign(list_id=list_id, user_id=order_id, idempotency_key=order_id)
    order.code = reward.code
    return reward.code


def stock(vouchers: PartnerVouchers, *codes: str) -> str:
    """Put codes into the campaign of the pages; return the list."""
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(partner="Puma", tag="t", name="Winter Sale", expires_at=EXPIRY)
    vouchers.uploads.add(winter.id, a_file(*codes), filename="codes.csv", uploaded_by="ops")
    vouchers.campaigns.link(winter.id, "CMP123456", repeat=RepeatPolicy.NEW_CODE)
    return winter.id


def with_lines(source: str, changes: dict[str, str]) -> str:
    """Return a program with lines, each of which it has once, replaced."""
    for line, instead in changes.items():
        assert source.count(line) == 1
        source = source.replace(line, instead)
    return source


async def place_order_asynchronously(
    vouchers: AsyncPartnerVouchers, session: AsyncSession, order_id: str, list_id: str
) -> str:
    """Do the same in a transaction of an asynchronous session."""
    session.add(Order(id=order_id, user_id=order_id))
    codes = vouchers.using(session).codes
    return (await codes.assign(list_id=list_id, user_id=order_id, idempotency_key=order_id)).code


def asynchronous(url: str) -> str:
    """Return the address of a database for asynchronous engines."""
    return url.replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")


def orders(engine: Engine) -> list[tuple[str, str | None]]:
    """Return what is committed, as somebody else sees it."""
    somebody = create_engine(engine.url, poolclass=NullPool)
    with Session(somebody) as session:
        found = session.scalars(select(Order).order_by(Order.id)).all()
        return [(order.id, order.code) for order in found]


def rewarded(host: Host) -> list[str]:
    """Return the users to whom a code was given, by the events that are committed."""
    return [event.user_id for event in host.events(VoucherRewarded)]


def refusal(host: Host, given: object) -> str:
    """Return what a host is told about what `using` does not join."""
    with host.nothing_changes(), pytest.raises(HostTransactionError) as refused:
        host.vouchers.using(given)
    assert refused.value.code == "host_transaction"
    return str(refused.value)
