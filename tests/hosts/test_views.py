"""The views for people who look with an SQL client, on both databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from partner_vouchers import PartnerVouchers, RepeatPolicy, Status, owns_table
from partner_vouchers.ports import Storage
from tests.hosts.kinds import POSTGRES, databases

pytestmark = databases

SECRET = "PM500FF-2026"
VIEWS = ["pv_view_assignments", "pv_view_campaigns", "pv_view_lists", "pv_view_uploads"]


@pytest.fixture
def vouchers(storage: Storage) -> PartnerVouchers:
    """With the clock of the machine, which the views read too."""
    vouchers = PartnerVouchers(storage)
    vouchers.partners.add("Puma")
    return vouchers


def rows(engine: Engine, view: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM {view} ORDER BY 1, 2")).mappings()
        return [{key: as_text(value) for key, value in row.items()} for row in found]


def as_text(value: object) -> object:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value


def a_list(vouchers: PartnerVouchers, tag: str, content: bytes = b"", **options: Any) -> str:
    far = datetime(2199, 3, 31, 23, 59, 59, tzinfo=UTC)
    options.setdefault("expires_at", far)
    created = vouchers.lists.create(partner="Puma", tag=tag, name=tag.title(), **options)
    if content:
        vouchers.uploads.add(created.id, content, filename="codes.csv", uploaded_by="ops")
    return created.id


def test_they_say_what_the_library_says(vouchers: PartnerVouchers, engine: Engine) -> None:
    winter = a_list(vouchers, "winter", f"{SECRET}\nB\nwrong code\nC\n".encode())
    vouchers.campaigns.link(winter, "CMP1", priority=3, repeat=RepeatPolicy.NEW_CODE)
    first = vouchers.codes.assign(campaign_id="CMP1", user_id="ann")
    vouchers.codes.assign(list_id=winter, user_id="ben")

    (seen,) = rows(engine, "pv_view_lists")
    found = vouchers.lists.get(winter)
    assert {key: seen[key] for key in ("list_id", "partner", "tag", "name", "status", "expires_at")} == {
        "list_id": int(winter),
        "partner": "Puma",
        "tag": "winter",
        "name": "Winter",
        "status": "Active",
        "expires_at": "2199-03-31 23:59:59",
    }
    for count in ("uploaded", "available", "reserved", "distributed", "withdrawn", "retired"):
        assert seen[count] == getattr(found, count), count

    (upload,) = rows(engine, "pv_view_uploads")
    assert (upload["status"], upload["accepted"], upload["total"]) == ("Completed", 3, 4)
    assert (upload["error_count"], upload["filename"], upload["uploaded_by"]) == (1, "codes.csv", "ops")

    (link,) = rows(engine, "pv_view_campaigns")
    assert (link["campaign_id"], link["tag"], link["priority"]) == ("CMP1", "winter", 3)
    assert link["repeat"] == RepeatPolicy.NEW_CODE.value

    given = rows(engine, "pv_view_assignments")
    assert [(row["user_id"], row["code"], row["campaign_id"], row["redeemed_at"]) for row in given] == [
        ("ann", "PM…", "CMP1", None),
        ("ben", "…", None, None),
    ]
    assert given[0]["assignment_id"] == int(first.assignment.id)
    assert given[0]["assigned_at"] == f"{first.assignment.assigned_at:%Y-%m-%d %H:%M:%S}"


def test_the_status_is_that_of_the_library(
    vouchers: PartnerVouchers, engine: Engine, storage: Storage
) -> None:
    lists = {tag: a_list(vouchers, tag) for tag in ("active", "paused", "archived", "deleted")}
    # It was created while its expiry was ahead.
    before = PartnerVouchers(storage, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    lists["expired"] = a_list(before, "expired", expires_at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(1))
    vouchers.lists.pause(lists["paused"])
    vouchers.lists.archive(lists["archived"])
    vouchers.lists.delete(lists["deleted"])
    seen = {row["tag"]: row["status"] for row in rows(engine, "pv_view_lists")}
    assert seen == {found.tag: found.status for found in vouchers.lists.find().items}
    assert set(seen.values()) == set(Status)


def test_no_view_shows_a_whole_code(vouchers: PartnerVouchers, engine: Engine) -> None:
    winter = a_list(vouchers, "winter", f"{SECRET}\nwrong {SECRET}\n".encode())
    vouchers.codes.assign(list_id=winter, user_id="ann")
    shown = [rows(engine, view) for view in VIEWS]
    assert SECRET not in str(shown)


def test_the_views_are_the_librarys(vouchers: PartnerVouchers, engine: Engine) -> None:
    assert sorted(inspect(engine).get_view_names()) == VIEWS
    assert all(map(owns_table, VIEWS))


def test_a_reader_needs_no_right_to_the_tables(vouchers: PartnerVouchers, engine: Engine, kind: str) -> None:
    if kind != POSTGRES:
        pytest.skip("SQLite has no rights")
    a_list(vouchers, "winter", b"A\n")
    with engine.connect() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar()
        connection.execute(text("CREATE ROLE looks"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO looks"))
        connection.execute(text("GRANT SELECT ON pv_view_lists TO looks"))
        connection.execute(text("SET LOCAL ROLE looks"))
        assert connection.execute(text("SELECT tag FROM pv_view_lists")).scalar() == "winter"
        with pytest.raises(Exception, match="permission denied"):
            connection.execute(text("SELECT * FROM pv_codes"))
        connection.rollback()


# --- the page about them ---------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")


def test_the_page_names_every_table(vouchers: PartnerVouchers, engine: Engine, kind: str) -> None:
    other = "SQLite" if kind == POSTGRES else "PostgreSQL"
    described = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\w+) \|$", PAGE, re.MULTILINE)
    found = {name for name in inspect(engine).get_table_names() if owns_table(name)}
    assert {name for name, database in described if database != other} == found


def test_the_page_names_every_column_of_the_views(vouchers: PartnerVouchers, engine: Engine) -> None:
    described = re.findall(r"^\| `(pv_view_\w+)` \| [^|]+ \| (`.*`) \|$", PAGE, re.MULTILINE)
    found = inspect(engine)
    assert {name: re.findall(r"\w+", columns) for name, columns in described} == {
        name: [column["name"] for column in found.get_columns(name)] for name in VIEWS
    }
