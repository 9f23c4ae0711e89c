"""No code is seen where the server or the driver quotes one: in errors and their causes, in logs and warnings."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.errors import PartnerVouchersError, StorageError
from tests.adapters.postgres.conftest import Connect
from tests.concurrency.state import new_list
from tests.support.host import Host, a_file
from tests.support.postgres import a_trigger, connections_of, end, server

SECRET = "SECRET"
CODES = [f"{SECRET}-{number:06}" for number in range(30_000)]


def all_that_is_told(error: BaseException) -> Iterator[str]:
    """Yield everything that can be reached from an error, as tools that report errors show it."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        found = todo.pop()
        if found is None or found in seen:
            continue
        seen.append(found)
        todo += [found.__cause__, found.__context__]
        yield "".join(traceback.format_exception(found, chain=False))
        for frame, line in traceback.walk_tb(found.__traceback__):
            if "partner_vouchers/" in frame.f_code.co_filename:
                for name, value in frame.f_locals.items():
                    yield f"{frame.f_code.co_filename}:{line} {name}={value!r}"
        yield repr(found) + str(found) + repr(found.args) + repr(vars(found))
        if isinstance(found, psycopg.Error):
            yield str([getattr(found.diag, name) for name in dir(found.diag) if not name.startswith("_")])


def failure_of(call: Callable[[], object]) -> PartnerVouchersError:
    try:
        call()
    except PartnerVouchersError as error:
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    "way, sqlstate",
    [
        *(("one", sqlstate) for sqlstate in ("40001", "23505", "23514", "P0001", "22P02", "08006")),
        *((way, "P0001") for way in ("many", "joined", "joined many")),
    ],
)
def test_an_assignment(host: Host, schema: str, connect: Connect, sqlstate: str, way: str) -> None:
    found = host.a_list(*CODES[:3])
    vouchers = host.vouchers.using(connect()) if "joined" in way else host.vouchers
    with a_trigger(schema, "pv_assignments", sqlstate):
        if "many" in way:
            error = failure_of(lambda: vouchers.codes.assign_many(["ann", "ben"], list_id=found.id))
        else:
            error = failure_of(lambda: vouchers.codes.assign(list_id=found.id, user_id="ann"))
    assert isinstance(error, StorageError)
    assert [told for told in all_that_is_told(error) if SECRET in told] == []


@pytest.mark.parametrize("table", ["pv_codes", "pv_active_codes"])
def test_an_upload(host: Host, schema: str, table: str) -> None:
    found = host.a_list()
    with a_trigger(schema, table, "P0001"):
        source = BytesIO(a_file(*CODES[:9]))
        error = failure_of(
            lambda: host.vouchers.uploads.add(found.id, source, filename="a.csv", uploaded_by="ops")
        )
    assert isinstance(error, StorageError)
    assert [told for told in all_that_is_told(error) if SECRET in told] == []


@pytest.mark.parametrize("how", ["terminated", "raised"])
def test_an_upload_that_ends_while_its_codes_are_copied(
    schema: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.DEBUG)
    conninfo = make_conninfo(server().conninfo, application_name=schema)
    with closing(PostgresStorage(conninfo, schema=schema)) as storage:
        vouchers = PartnerVouchers(storage)
        list_id = new_list(vouchers, "sale", [])

        def progress(_: object) -> None:
            copying = connections_of(schema, "query LIKE 'COPY%%'")
            if copying and how == "raised":
                raise StorageError(reason="stop")
            end(*copying)

        def upload() -> object:
            return vouchers.uploads.add(
                list_id, BytesIO(a_file(*CODES)), filename="a.csv", uploaded_by="ops", progress=progress
            )

        error = failure_of(upload)
        assert isinstance(error, StorageError)
        assert [told for told in all_that_is_told(error) if SECRET in told] == []
        assert SECRET not in caplog.text
        vouchers.uploads.recover()
        assert vouchers.uploads.add(list_id, b"A\n", filename="b.csv", uploaded_by="ops").accepted == 1
