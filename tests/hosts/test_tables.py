"""Tools that look at a database leave the library's tables alone, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from partner_vouchers import owns_table
from partner_vouchers.errors import InvalidInput
from tests.hosts.kinds import databases
from tests.hosts.shop import Base
from tests.support.host import Host

pytestmark = databases


def include_name(name: str, type_: str, parent_names: object) -> bool:
    """Do what the how-to says."""
    return type_ != "table" or not owns_table(name)


def differences(engine: Engine, **options: Any) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": Base.metadata, **options})
        return list(compare_metadata(context, Base.metadata))


@pytest.fixture(autouse=True)
def tables(host: Host) -> None:
    """Make them: a storage in SQLite does so at its first use."""
    host.vouchers.partners.all()


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_alembic_proposes_nothing(engine: Engine) -> None:
    assert differences(engine, include_name=include_name) == []
    assert {change[0] for change in differences(engine)} >= {"remove_table"}


def test_a_table_of_the_hosts_with_our_prefix_is_the_hosts(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE pv_orders (id integer PRIMARY KEY)"))
    try:
        (change,) = differences(engine, include_name=include_name)
        assert (change[0], change[1].name) == ("remove_table", "pv_orders")
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE pv_orders"))


def test_every_table_of_the_library_is_recognised(engine: Engine) -> None:
    found = inspect(engine)
    names = [*found.get_table_names(), *found.get_view_names()]
    if engine.dialect.supports_sequences:
        names += found.get_sequence_names()
    strangers = {name for name in names if not owns_table(name) and not name.endswith("_id_seq")}
    assert strangers <= {"orders", "sqlite_sequence", "sqlite_stat1"}
    assert "pv_lists" in names


@pytest.mark.parametrize("arguments", [{"name": None}, {"name": 5}, {"name": "pv_lists", "prefix": None}])
def test_the_name_of_a_table_is_a_string(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        owns_table(**arguments)


@pytest.mark.parametrize("name", ["pv_", "pv", "", "lists", "PV_lists", "pv_lists_backup", "xpv_lists"])
def test_what_is_not_a_table_of_the_library(engine: Engine, name: str) -> None:
    assert not owns_table(name)
    assert not owns_table("pv_lists", prefix="vouchers_")
    assert owns_table("vouchers_lists", prefix="vouchers_")
