"""The named statements: how they are read, that each is used, and that each finds its rows by an index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.importing import _SCOPE_IS_EMPTY
from partner_vouchers.adapters.postgres.names import STATEMENTS as POSTGRES
from partner_vouchers.adapters.postgres.names import Names
from partner_vouchers.adapters.sql.lists import SqlLists
from partner_vouchers.adapters.sql.records import SqlAudit
from partner_vouchers.adapters.sql.session import Session
from partner_vouchers.adapters.sql.statements import load_statements
from partner_vouchers.adapters.sql.uploads import SqlUploads
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.adapters.sqlite.session import STATEMENTS as SQLITE
from partner_vouchers.adapters.sqlite.session import SQLiteSession
from partner_vouchers.ports import ListOrder, ListQuery
from tests.support.host import FixedClock, Host, some_codes
from tests.support.postgres import schemas, server
from tests.support.scratch import scratch

LARGE = (
    "pv_codes|pv_active_codes|pv_superseded_codes|pv_assignments|pv_idempotency_keys|pv_events|pv_deferred|pv_audit|"
    "pv_upload_faults|pv_upload_pieces|pv_redemptions|pv_retired|pv_report_blocks|pv_revocations|pv_outbox|pv_terms"
)
"""The tables that grow with the codes, or with time."""

SCANS = {"codes_in_window", "events_with_text", "rename_deferred", "replace_payload", "superseded_places"}
"""The statements that may read a whole table: a new limit counts what was given before; users are seldom forgotten; a
reconciliation asks for one row first.
"""

SCANS_ON_POSTGRES = {"remove_events", "unredeemed_of_campaign", "event_without_position"}
"""What removes all events up to a position, or asks for all assignments of a campaign, may well read one by one.
The event of a revoked code is looked for among those without a position: an index would make each assignment slower.
"""

Plans = Callable[[str], str]


# --- how they are read -----------------------------------------------------------------------------------------


def test_a_statement_takes_in_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as place:
        for package, text in (
            (
                "shared",
                "-- columns --\n-- Part: what\n-- is read.\na, b\n\n-- all --\nSELECT {columns}\nFROM t\n",
            ),
            ("special", "-- About this file.\n\n-- columns --\nc\n"),
        ):
            (place / package / "statements").mkdir(parents=True)
            (place / package / "__init__.py").touch()
            (place / package / "statements" / "x.sql").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(place)
        assert load_statements("shared") == {"columns": "a, b", "all": "SELECT a, b\nFROM t"}
        assert load_statements("shared", "special") == {"columns": "c", "all": "SELECT c\nFROM t"}


@pytest.mark.parametrize("package", ["sql", "sqlite", "postgres"])
def test_no_name_is_given_twice(package: str) -> None:
    folder = resources.files(f"partner_vouchers.adapters.{package}").joinpath("statements")
    names = [
        name
        for file in folder.iterdir()
        for name in re.findall(r"^-- (\w+) --$", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(names) == sorted(set(names))


def test_each_statement_is_used() -> None:
    adapters = Path(str(resources.files("partner_vouchers.adapters")))
    text = "".join(path.read_text(encoding="utf-8") for path in adapters.rglob("*.py"))
    parts = "".join(path.read_text(encoding="utf-8") for path in adapters.rglob("*.sql"))
    used = set(re.findall(r"[\"'](\w+)[\"']", text)) | set(re.findall(r"\{(\w+)\}", parts))
    assert set(SQLITE) | set(POSTGRES) <= used


# --- plans -----------------------------------------------------------------------------------------------------


def executable(statements: dict[str, str]) -> list[str]:
    """Return the names of whole statements."""
    return [name for name in statements if name not in parts()]


def parts() -> set[str]:
    return {
        name
        for path in Path(str(resources.files("partner_vouchers.adapters"))).rglob("statements/*.sql")
        for name in re.findall(r"^-- (\w+) --\n-- Part:", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


GROW = [
    (
        "pv_assignments (code_id, {code}user_id, origin, ordinal, assigned_at, list_version) "
        "SELECT 4294967296 + 1000000 + g, {a_code}'u' || g, 'c:CMP', 1, 1, 1"
    ),
    "pv_codes (id, code) SELECT 4294967296 * 9 + g, 'C' || g",
    "pv_active_codes (scope_id, code, code_id) SELECT 1, 'C' || g, 4294967296 * 9 + g",
    "pv_superseded_codes (code, code_id) SELECT 'C' || g, 4294967296 * 9 + g",
    (
        "pv_redemptions (code_id, number, redeemed_at, recorded_at, late) "
        "SELECT 4294967296 + 1000000 + g, 1, 1, 1, {false}"
    ),
    "pv_revocations (code_id, revoked_at, source) SELECT 4294967296 + 1000000 + g, 1, 1",
    "pv_retired (code_id) SELECT 4294967296 + 9000000 + g",
    "pv_report_blocks (id, last_line, kind, cells) SELECT 4294967296 + g, g, 'recorded', '[[], []]'",
    "pv_idempotency_keys (key, fingerprint, code_ids) SELECT 'k' || g, 'f', 'c'",
    "pv_audit (list_id, actor, name, payload) SELECT g % 50, 'a' || g % 50, 'list.edited', 'x'",
    "pv_upload_pieces ({piece}, data) SELECT 100000000 + g, {a_piece}'x'",
    "pv_upload_faults ({fault}, raw, kind, message) SELECT 100000000 + g, {a_piece}'x', 'empty', 'x'",
    "pv_events (position, {event}name, payload) SELECT 100000000 + g, {a_event}'list.edited', 'x'",
    (
        "pv_deferred (position, sink, event_id, key, state, attempts, failures, retry_at, reason) "
        "SELECT 100000000 + g, 's' || g % 100, 'e' || g, 'u' || g % 1000, 'deferred', 1, 1, g, 'x'"
    ),
    (
        "pv_deferred (position, sink, event_id, key, state, attempts, failures, reason) "
        "SELECT 200000000 + g, 's' || g % 100, 'e' || g, 'u' || g % 1000, 'dead', 1, 1, 'x'"
    ),
]
"""Rows for the tables that grow, so that an index is worth while."""

GROW_POSTGRES = [
    "pv_lists SELECT 100000 + g, 'Puma', 'tag-' || g, '', '', 0, 'Active', NULL, g, 0, 0, 1, 0, ''",
    "pv_terms SELECT 100000 + g, 1, '', '', 0",
    "pv_scopes (key) SELECT 'scope-' || g",
    *["pv_outbox (name, payload) SELECT 'list.edited', 'x'"] * 5,
]


def fill(host: Host, execute: Callable[[str], object], series: str, **columns: str) -> None:
    host.a_list(*some_codes(100), *["B B"] * 2_000, campaign="CMP")
    for number in range(3):
        host.a_list(*some_codes(10, f"L{number}"), campaign=f"CMP{number}")
    host.vouchers.codes.assign_many(["ann", "ben"], campaign_id="CMP", idempotency_key="m")
    for insert in GROW:
        execute(f"INSERT INTO {insert.format(**columns)} {series}")


@pytest.fixture(scope="module", params=["fresh", "analysed"])
def sqlite_plan(request: pytest.FixtureRequest) -> Iterator[Plans]:
    with scratch() as place:
        storage = SQLiteStorage(place / "v.db")
        with closing(storage), closing(sqlite3.connect(place / "v.db", isolation_level=None)) as connection:
            host = Host(storage, FixedClock())
            numbers = "WITH RECURSIVE s (g) AS (VALUES (1) UNION ALL SELECT g + 1 FROM s) SELECT g FROM s LIMIT 5000"
            fill(
                host,
                connection.execute,
                f"FROM ({numbers})",
                code="",
                a_code="",
                piece="id",
                a_piece="",
                fault="id",
                event="",
                a_event="",
                false="0",
            )
            if request.param == "analysed":
                connection.execute("ANALYZE")

            def plan(name: str) -> str:
                statement = f"EXPLAIN QUERY PLAN {SQLITE.get(name, name)}"
                for count in range(30):
                    try:
                        steps = connection.execute(statement, [None] * count).fetchall()
                    except sqlite3.ProgrammingError:
                        continue
                    return "\n".join(step[3] for step in steps)
                raise AssertionError(name)

            yield plan


@pytest.fixture(scope="module", params=[pytest.param("fresh", marks=pytest.mark.deep), "analysed"])
def postgres_plan(request: pytest.FixtureRequest) -> Iterator[Plans]:
    with schemas().lend() as schema, closing(PostgresStorage(server().conninfo, schema=schema)) as storage:
        options = f"-c search_path={schema}"
        with psycopg.connect(server().conninfo, autocommit=True, options=options) as connection:
            host = Host(storage, FixedClock())

            def execute(sql: str) -> None:
                connection.execute(sql.encode())

            fill(
                host,
                execute,
                "FROM generate_series(1, 20000) AS g",
                code="code, ",
                a_code="'C' || g, ",
                piece="upload_id, index",
                a_piece="0, ",
                fault="upload_id, line",
                event="number, ",
                a_event="g, ",
                false="false",
            )
            for insert in GROW_POSTGRES:
                execute(f"INSERT INTO {insert} FROM generate_series(1, 20000) AS g")
            # Without statistics the server expects a code, or an id, in hundreds of rows of these.
            connection.execute(
                "ANALYZE pv_scopes, pv_superseded_codes, pv_deferred, pv_redemptions, pv_revocations"
            )
            if request.param == "analysed":
                for (table,) in connection.execute(
                    "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s",
                    (schema,),
                ).fetchall():
                    connection.execute(f"ANALYZE {table}".encode())

            def plan(name: str) -> str:
                numbers = iter(range(1, 100))
                text = Names("pv_", schema).sql(name).replace(b"%%", b"%").decode()
                text = re.sub("%s", lambda _: f"${next(numbers)}", text)
                rows = connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode()).fetchall()
                return "\n".join(row[0] for row in rows)

            yield plan


SQLITE_PLANS = {
    "holding_of_user": "SEARCH pv_assignments USING COVERING INDEX sqlite_autoindex_pv_assignments_1 "
    "(user_id=? AND origin=?)",
    "latest_of_users": "SEARCH a USING INDEX sqlite_autoindex_pv_assignments_1 (user_id=? AND origin=? AND ordinal=?)",
    "assignments_by_ids": "SEARCH a USING INTEGER PRIMARY KEY (rowid=?)",
    "assignments_of_user": "SEARCH a USING INDEX sqlite_autoindex_pv_assignments_1 (user_id=?)",
    "assignments_of_list": "SEARCH a USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "next_codes": "SEARCH c USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "codes_between": "SEARCH pv_codes USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "key": "SEARCH pv_idempotency_keys USING PRIMARY KEY (key=?)",
    "lists_of_campaign": "SEARCH k USING INDEX sqlite_autoindex_pv_links_1 (campaign_id=?)",
    "events_after": "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)",
    "due": "SEARCH d USING INDEX pv_deferred_due (sink=? AND retry_at<?)",
    "first_of_keys": "SEARCH d USING INDEX pv_deferred_key (sink=? AND key=?)",
    "dead_letters_with_ids": "SEARCH d USING INDEX pv_deferred_dead_id (sink=? AND event_id=?)",
    "completed_upload_of_file": "SEARCH u USING INDEX pv_uploads_sha256 (list_id=? AND sha256=?)",
}


def test_no_statement_reads_a_large_table_from_end_to_end_in_sqlite(sqlite_plan: Plans) -> None:
    bad = {}
    for name in executable(SQLITE):
        aliases = {alias: table for table, alias in re.findall(r"\b(pv_\w+) AS (\w+)", SQLITE[name])}
        scanned = re.findall(r"^SCAN (\w+)", sqlite_plan(name), re.MULTILINE)
        if any(re.fullmatch(LARGE, aliases.get(alias, alias)) for alias in scanned):
            bad[name] = sqlite_plan(name)
    assert bad.keys() <= SCANS, bad


def test_what_is_done_often_takes_its_index_in_sqlite(sqlite_plan: Plans) -> None:
    assert {
        name: sqlite_plan(name) for name, step in SQLITE_PLANS.items() if step not in sqlite_plan(name)
    } == {}


class Recorder(SQLiteSession):
    """Keeps the text of the statements that a repository builds."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def fetch(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        self.built.append(statement)
        return []


LISTS_PAGE = ListQuery(None, None, None, ListOrder.UPDATED, True, None, 20)
BUILT: list[tuple[Callable[[Session], object], str]] = [
    (lambda db: SqlLists(db).find(LISTS_PAGE), "SCAN l USING INDEX pv_lists_updated_at"),
    (
        lambda db: SqlUploads(db).find("1", None, None, 10),
        "SEARCH u USING INDEX pv_uploads_list (list_id=? AND id<?)",
    ),
    (
        lambda db: SqlAudit(db).entries("1", None, 0, 10),
        "SEARCH pv_audit USING INDEX pv_audit_list (list_id=? AND rowid>?)",
    ),
    (
        lambda db: SqlAudit(db).entries(None, "ops", 0, 10),
        "SEARCH pv_audit USING INDEX pv_audit_actor (actor=? AND rowid>?)",
    ),
    (
        lambda db: SqlAudit(db).entries(None, None, 5, 10),
        "SEARCH pv_audit USING INTEGER PRIMARY KEY (rowid>?)",
    ),
]


@pytest.mark.parametrize("call, expected", BUILT)
def test_what_is_built_at_run_time_takes_its_index_and_sorts_nothing(
    call: Callable[[Session], object], expected: str, sqlite_plan: Plans
) -> None:
    recorder = Recorder()
    call(recorder)
    (plan,) = map(sqlite_plan, recorder.built)
    assert expected in plan
    assert "TEMP B-TREE" not in plan


POSTGRES_PLANS = {
    "holding_of_user": "pv_assignments_user_id_origin_ordinal_key",
    "latest_of_users": "pv_assignments_user_id_origin_ordinal_key",
    "assignments_by_ids": "pv_assignments_pkey",
    "assignments_of_user": "pv_assignments_user_id_origin_ordinal_key",
    "assignments_of_list": "pv_assignments_pkey",
    "take_codes": "pv_codes_pkey",
    "mark_emptied": "pv_codes_pkey",
    "remaining_codes": "pv_codes_pkey",
    "key": "pv_idempotency_keys_pkey",
    "holder_of_code": "pv_active_codes_pkey",
    "events_after": "pv_events_pkey",
    "due": "pv_deferred_due",
    "first_of_keys": "pv_deferred_key",
    "dead_letters_with_ids": "pv_deferred_dead_id",
    "can_order": "pv_outbox_pkey",
    "order_events": "pv_outbox_pkey",
    "count_unordered": "pv_outbox_pkey",
}


def test_no_statement_reads_a_large_table_from_end_to_end_in_postgres(postgres_plan: Plans) -> None:
    plans = {name: postgres_plan(name) for name in [*executable(POSTGRES), _SCOPE_IS_EMPTY]}
    bad = {name: plan for name, plan in plans.items() if re.search(rf"Seq Scan on ({LARGE})\b", plan)}
    assert bad.keys() <= SCANS | SCANS_ON_POSTGRES, bad


def test_what_is_done_often_takes_its_index_in_postgres(postgres_plan: Plans) -> None:
    plans = {name: postgres_plan(name) for name in POSTGRES_PLANS}
    assert {
        name: plan
        for name, plan in plans.items()
        if not re.search(rf"(using|on) {POSTGRES_PLANS[name]}", plan)
    } == {}
