"""`vouchers.using` with Django's connections: whatever is in an `atomic` block stands or falls together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django import setup
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from django.db import connection as default_connection

from partner_vouchers import owns_table
from partner_vouchers.errors import CodesExhausted, HostTransactionError, PartnerExists
from tests.hosts.kinds import IMMEDIATE, LATE, POSTGRES, postgres
from tests.hosts.shop import Place, rewarded
from tests.support.host import Host

settings.configure(USE_TZ=True, LOGGING_CONFIG=None)
setup()


class PaymentFailed(Exception):
    pass


@pytest.fixture(params=[LATE, pytest.param(IMMEDIATE, marks=pytest.mark.deep), POSTGRES])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database, and how Django begins its transactions."""
    return str(request.param)


@pytest.fixture
def django(kind: str, place: Place, tmp_path: Path) -> Iterator[Any]:
    """Django's default connection, which is not connected yet, to a database with orders in it."""
    default = {
        **place.django,
        **({"OPTIONS": {"transaction_mode": "IMMEDIATE"}} if kind == IMMEDIATE else {}),
    }
    other = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "other.db")}
    connections.settings = connections.configure_settings({"default": default, "other": other})
    with closing(connections.create_connection("default")) as setting_up, setting_up.cursor() as cursor:
        cursor.execute("CREATE TABLE placed (id text PRIMARY KEY, code text, at timestamp)")
    connections["default"] = connections.create_connection("default")
    yield default_connection
    for alias in connections:
        if hasattr(connections._connections, alias):
            connections[alias].close()
            del connections[alias]
    with closing(connections.create_connection("default")) as tidying_up, tidying_up.cursor() as cursor:
        cursor.execute("DROP TABLE placed")


def insert(order_id: str, code: str | None) -> None:
    with default_connection.cursor() as cursor:
        cursor.execute("INSERT INTO placed VALUES (%s, %s, CURRENT_TIMESTAMP)", [order_id, code])


def place_order(host: Host, order_id: str, list_id: str) -> str:
    reward = host.vouchers.using(default_connection).codes.assign(
        list_id=list_id, user_id=order_id, idempotency_key=order_id
    )
    insert(order_id, reward.code)
    return reward.code


def orders() -> list[tuple[str, str | None]]:
    """Return what is committed, as somebody else sees it."""
    with closing(connections.create_connection("default")) as somebody, somebody.cursor() as cursor:
        cursor.execute("SELECT id, code FROM placed ORDER BY id")
        return [tuple(row) for row in cursor.fetchall()]


# --- together ------------------------------------------------------------------------------------------------


def test_order_code_and_event_are_committed_together_or_rolled_back(host: Host, django: Any) -> None:
    found = host.a_list("A", "B")

    def fail_after(order_id: str, error: Exception | None) -> None:
        with transaction.atomic():
            place_order(host, order_id, found.id)
            if error is not None:
                raise error
            transaction.set_rollback(True)

    with host.nothing_changes():
        with suppress(PaymentFailed):
            fail_after("order-0", PaymentFailed())
        fail_after("order-0", None)
    with transaction.atomic():
        assert place_order(host, "order-1", found.id) == "A"
        assert (orders(), rewarded(host)) == ([], [])
    with host.nothing_changes(), suppress(IntegrityError), transaction.atomic():
        host.vouchers.using(django).codes.assign(list_id=found.id, user_id="somebody")
        insert("order-1", None)
    assert (orders(), rewarded(host), host.left(found.id)) == ([("order-1", "A")], ["order-1"], ["B"])


def test_a_block_within_a_block_takes_its_code_back(host: Host, django: Any) -> None:
    found = host.a_list("A", "B")
    with transaction.atomic():
        place_order(host, "order-1", found.id)
        with suppress(PaymentFailed), transaction.atomic():
            assert place_order(host, "order-2", found.id) == "B"
            raise PaymentFailed
        with transaction.atomic():
            assert place_order(host, "order-3", found.id) == "B"
    assert orders() == [("order-1", "A"), ("order-3", "B")]
    assert rewarded(host) == ["order-1", "order-3"]


@pytest.mark.parametrize(
    "given",
    [lambda: default_connection, lambda: connections["default"], lambda: connections["default"].connection],
    ids=["proxy", "wrapper", "driver"],
)
def test_any_of_djangos_names_for_it_will_do(host: Host, django: Any, given: Callable[[], Any]) -> None:
    found = host.a_list("A")
    with transaction.atomic():
        host.vouchers.using(given()).codes.assign(list_id=found.id, user_id="ann")
    assert rewarded(host) == ["ann"]


def test_a_call_that_fails_leaves_the_block_usable(host: Host, django: Any) -> None:
    found = host.a_list("A", "B")
    with transaction.atomic():
        joined = host.vouchers.using(django)
        with pytest.raises(CodesExhausted):
            joined.codes.assign_many(["ann", "ben", "cleo"], list_id=found.id)
        with pytest.raises(PartnerExists):
            joined.partners.add("Puma")
        place_order(host, "order-1", found.id)
    assert orders() == [("order-1", "A")]


def test_without_autocommit_the_host_commits_itself(host: Host, django: Any) -> None:
    found = host.a_list("A", "B")
    transaction.set_autocommit(False)
    with host.nothing_changes():
        place_order(host, "order-1", found.id)
        transaction.rollback()
    place_order(host, "order-2", found.id)
    transaction.commit()
    transaction.set_autocommit(True)
    assert orders() == [("order-2", "A")]


def test_django_sees_no_statement_of_the_library(host: Host, django: Any) -> None:
    found = host.a_list("SECRET-1")
    django.force_debug_cursor = True
    with transaction.atomic():
        host.vouchers.using(django).codes.assign(list_id=found.id, user_id="ann")
    django.force_debug_cursor = False
    assert {query["sql"].split()[0] for query in django.queries} == {"BEGIN", "COMMIT"}


# --- what is refused -------------------------------------------------------------------------------------------


def test_outside_of_a_block_it_is_refused(host: Host, django: Any) -> None:
    found = host.a_list("A")
    with host.nothing_changes():
        for _ in ("not connected yet", "connected"):
            with pytest.raises(HostTransactionError, match=r"transaction\.atomic\(\)"):
                host.vouchers.using(django)
        with transaction.atomic():
            joined = host.vouchers.using(django)
        for call in (lambda: joined.codes.assign(list_id=found.id, user_id="ann"), joined.partners.all):
            with pytest.raises(HostTransactionError, match=r"transaction\.atomic\(\)"):
                call()


def test_what_was_joined_goes_on_in_the_next_block(host: Host, django: Any) -> None:
    found = host.a_list("A", "B")
    with transaction.atomic():
        joined = host.vouchers.using(django)
    django.close()
    with transaction.atomic():
        assert joined.codes.assign(list_id=found.id, user_id="ann").code == "A"
    assert rewarded(host) == ["ann"]


def test_a_block_that_failed_is_refused(host: Host, django: Any) -> None:
    """Django rolls it back at its end without a word: the code would be shown and go back to the pool."""
    found = host.a_list("A")
    with transaction.atomic():
        joined = host.vouchers.using(django)
        insert("order-1", None)
    with host.nothing_changes(), transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
            insert("order-1", None)
        with pytest.raises(HostTransactionError, match="TransactionManagementError"):
            host.vouchers.using(django)
        with pytest.raises(HostTransactionError, match="failed"):
            joined.codes.assign(list_id=found.id, user_id="ann")


def test_a_connection_that_is_lost_within_a_block_is_refused(host: Host, django: Any) -> None:
    with transaction.atomic():
        joined = host.vouchers.using(django)
        django.close()
        with pytest.raises(HostTransactionError):
            joined.partners.add("Nike")
    assert host.vouchers.partners.all() == []


def test_another_thread_is_refused(host: Host, django: Any) -> None:
    with transaction.atomic(), ThreadPoolExecutor(1) as thread:
        wrapper = connections["default"]
        joined = host.vouchers.using(wrapper)
        for call in (lambda: host.vouchers.using(wrapper), joined.partners.all):
            with pytest.raises(HostTransactionError, match="thread"):
                thread.submit(call).result()


def test_a_coroutine_is_refused(host: Host, django: Any) -> None:
    async def serve() -> None:
        host.vouchers.using(django)

    with pytest.raises(HostTransactionError, match="SynchronousOnlyOperation"):
        asyncio.run(serve())


def test_another_database_is_refused(host: Host, django: Any) -> None:
    with (
        transaction.atomic(using="other"),
        pytest.raises(HostTransactionError, match=r"other\.db|not sqlite3"),
    ):
        host.vouchers.using(connections["other"])


def test_what_is_no_connection_is_refused(host: Host, django: Any) -> None:
    with transaction.atomic(), django.cursor() as cursor:
        for given in (connections, cursor, transaction, transaction.atomic()):
            with pytest.raises(HostTransactionError):
                host.vouchers.using(given)


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


@postgres
@pytest.mark.parametrize(
    "options",
    [{"server_side_binding": True}, {"pool": {"min_size": 1, "max_size": 2}}, {"prepare_threshold": 0}],
    ids=str,
)
def test_djangos_options_do_not_disturb(host: Host, django: Any, options: dict[str, Any]) -> None:
    found = host.a_list("A", "B", "C")
    settings_dict = connections.settings["default"]
    settings_dict["OPTIONS"] = {**settings_dict["OPTIONS"], **options}
    settings_dict["TIME_ZONE"] = "Asia/Kolkata"
    connections["default"] = connections.create_connection("default")
    for number, code in enumerate("ABC", 1):
        with transaction.atomic():
            assert place_order(host, f"order-{number}", found.id) == code
    assert [code for _order, code in orders()] == ["A", "B", "C"]
    assert rewarded(host) == ["order-1", "order-2", "order-3"]
    held = host.vouchers.codes.of_user("order-1")
    with transaction.atomic():
        assert host.vouchers.using(django).codes.of_user("order-1") == held
    if "pool" in options:
        connections["default"].close()
        connections["default"].close_pool()


# --- tools ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inspectdb_writes_models_of_the_hosts_tables_and_on_request_of_the_librarys(
    host: Host, django: Any
) -> None:
    def models(*arguments: str) -> list[str]:
        told = StringIO()
        call_command("inspectdb", *arguments, stdout=told)
        return re.findall(r"^class (\w+)\(", told.getvalue(), re.MULTILINE)

    names = default_connection.introspection.table_names()
    assert models(*(name for name in names if not owns_table(name))) == ["Placed"]
    assert {"PvLists", "PvViewLists", "Placed"} <= set(models("--include-views"))
