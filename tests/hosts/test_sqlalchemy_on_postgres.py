"""What SQLAlchemy sets on connections to PostgreSQL, and can be told to set."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from partner_vouchers import PartnerVouchersError
from partner_vouchers.errors import CodesExhausted, HostTransactionError
from tests.hosts.kinds import postgres
from tests.hosts.shop import Base, Place, orders, place_order, rewarded
from tests.support.host import Host

pytestmark = postgres


@pytest.mark.parametrize(
    "options",
    [
        {
            "connect_args": {"prepare_threshold": 0},
            "json_deserializer": lambda text: json.loads(text, parse_float=Decimal),
            "isolation_level": "READ COMMITTED",
        },
        {
            "connect_args": {"prepare_threshold": None},
            "pool_pre_ping": True,
            "pool_reset_on_return": None,
            "use_native_hstore": False,
            "client_encoding": "utf8",
        },
    ],
    ids=["prepares all", "prepares nothing"],
)
def test_an_engines_options_do_not_disturb(host: Host, place: Place, options: dict[str, Any]) -> None:
    found = host.a_list("A", "B", "C", "D")
    engine = create_engine(place.url, **options)
    Base.metadata.create_all(engine)
    for number, code in enumerate("ABC", 1):
        with Session(engine) as session:
            assert place_order(host.vouchers, session, f"order-{number}", found.id) == code
            with pytest.raises(CodesExhausted):
                host.vouchers.using(session).codes.assign_many(list("vwxyz"), list_id=found.id)
            session.commit()
    assert [code for _order, code in orders(engine)] == ["A", "B", "C"]
    assert len(rewarded(host)) == 3
    engine.dispose()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_level_that_does_not_see_what_others_gave_out_is_refused(
    host: Host, place: Place, level: str
) -> None:
    engine = create_engine(place.url, isolation_level=level)
    with Session(engine) as session, pytest.raises(HostTransactionError, match="READ COMMITTED"):
        host.vouchers.using(session)
    engine.dispose()


def test_a_session_that_commits_in_two_phases(host: Host, engine: Engine) -> None:
    """The server does not prepare transactions unless it is told to, but may roll them back."""
    found = host.a_list("A")
    with Session(engine, twophase=True) as session, host.nothing_changes():
        place_order(host.vouchers, session, "order-1", found.id)
        session.flush()
        session.rollback()
    assert orders(engine) == []


def test_a_connection_that_the_server_has_closed(host: Host, engine: Engine) -> None:
    found = host.a_list("A")
    with Session(engine) as session, host.nothing_changes():
        joined = host.vouchers.using(session)
        joined.codes.assign(list_id=found.id, user_id="ann")
        driver = session.connection().connection.driver_connection
        with engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({driver.info.backend_pid})")  # type: ignore[union-attr]
        with pytest.raises(PartnerVouchersError):
            joined.codes.assign(list_id=found.id, user_id="ben")
        # SQLAlchemy hears of it only now.
        with pytest.raises(OperationalError):
            session.rollback()
    with Session(engine) as session:
        host.vouchers.using(session).codes.assign(list_id=found.id, user_id="cleo")
        session.commit()
    assert rewarded(host) == ["cleo"]
