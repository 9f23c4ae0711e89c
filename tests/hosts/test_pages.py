"""The pages about FastAPI and Django: what they show is put into files, and used as a host would use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

import partner_vouchers
from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from tests.hosts.kinds import POSTGRES, databases_by_turns, postgres
from tests.hosts.shop import Place, stock, with_lines
from tests.support.host import some_codes

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(page: str) -> tuple[str, str]:
    """Return what a page says of SQLite, and of PostgreSQL."""
    ours, _heading, postgres = (PAGES / page).read_text(encoding="utf-8").partition("## On PostgreSQL")
    assert postgres
    return ours, postgres


def write_files(section: str, project: Path) -> None:
    """Write the blocks whose first line names a file, behind what the file holds already."""
    for name, content in BLOCK.findall(section):
        path = project / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(content)


# --- FastAPI ---------------------------------------------------------------------------------------------------------


def on_postgres(place: Place, project: Path) -> None:
    """Change the application as the page says for PostgreSQL, with the addresses of a server that is there."""
    _sqlite, section = sections("fastapi-sqlalchemy.md")
    imports, engine, vouchers = re.findall(r"^(?:from|engine|vouchers) .*$", section, re.MULTILINE)
    application = (project / "shop.py").read_text(encoding="utf-8")
    application = with_lines(
        application,
        {
            "from partner_vouchers.adapters.sqlite import SQLiteStorage": imports,
            'engine = create_engine("sqlite:///shop.db")': engine,
            'vouchers = PartnerVouchers(SQLiteStorage("shop.db"))': vouchers,
        },
    )
    application = application.replace("postgresql+psycopg://shop@localhost/shop", place.url)
    application = application.replace("postgresql://shop@localhost/shop", place.conninfo)
    (project / "shop.py").write_text(application, encoding="utf-8")


@pytest.fixture
def shop(kind: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application of the page, as a module of its own."""
    monkeypatch.chdir(tmp_path)
    write_files(sections("fastapi-sqlalchemy.md")[0], tmp_path)
    if kind == POSTGRES:
        on_postgres(place, tmp_path)
    spec = spec_from_file_location("shop", "shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "shop", module)
    spec.loader.exec_module(module)
    yield module
    module.Base.metadata.drop_all(module.engine)
    module.engine.dispose()
    module.vouchers._wiring.storage.close()


@pytest.fixture
def client(shop: ModuleType) -> Iterator[TestClient]:
    with TestClient(shop.app, raise_server_exceptions=False) as client:
        yield client


def orders(shop: ModuleType) -> list[tuple[str, str]]:
    with shop.make_session() as session:
        return [(order.id, order.voucher_code) for order in session.query(shop.Order).order_by(shop.Order.id)]


def place(client: TestClient, order_id: str) -> Any:
    return client.put(f"/orders/{order_id}", json={"user_id": "user-42"})


@databases_by_turns
def test_more_requests_at_once_than_codes_and_repeated_ones(shop: ModuleType, client: TestClient) -> None:
    codes = some_codes(20)
    list_id = stock(shop.vouchers, *codes)
    ids = [f"order-{number:02}" for number in range(24)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda order_id: place(client, order_id), [*ids, *ids[:8]]))
    served = [answer for answer in answers if answer.status_code == 200]
    given = {answer.json()["order_id"]: answer.json()["voucher_code"] for answer in served}
    assert sorted(given.values()) == codes
    assert dict(orders(shop)) == given
    assert {answer.text for answer in answers if answer not in served} == {'{"error":"codes_exhausted"}'}
    assert shop.vouchers.lists.get(list_id).available == 0


@databases_by_turns
def test_an_order_that_cannot_be_stored_takes_its_code_back(shop: ModuleType, client: TestClient) -> None:
    list_id = stock(shop.vouchers, "A", "B")
    shop.Order.__table__.drop(shop.engine)
    assert place(client, "order-1").status_code == 500
    assert shop.vouchers.lists.get(list_id).distributed == 0
    shop.Order.__table__.create(shop.engine)
    assert place(client, "order-1").json() == {"order_id": "order-1", "voucher_code": "A"}


@postgres
def test_the_revision_of_the_page_makes_the_tables(place: Place) -> None:
    _sqlite, section = sections("fastapi-sqlalchemy.md")
    (revision,) = re.findall(r"^```python\n(def upgrade.*?)^```$", section, re.MULTILINE | re.DOTALL)
    schema = "made_by_a_revision"
    engine = create_engine(place.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        connection.exec_driver_sql(f"SET LOCAL search_path = {schema}")
        operations = Operations(MigrationContext.configure(connection))
        script: dict[str, Any] = {"op": operations, "SCHEMA": PostgresStorage("").schema_sql()}
        exec(revision, script)
        script["upgrade"]()
    storage = PostgresStorage(place.conninfo, schema=schema)
    assert PartnerVouchers(storage).partners.add("Puma").name == "Puma"
    storage.close()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


# --- Django ----------------------------------------------------------------------------------------------------------


def run(project: Path, *command: str) -> str:
    """Run Python in a project, with warnings as errors; return what it printed."""
    sources = str(Path(partner_vouchers.__file__).parents[1])
    done = subprocess.run(
        # Python 3.12.0 to 3.12.3 take `?1` for a name, as pyproject.toml says.
        [sys.executable, "-W", "error", "-W", "ignore:Binding:DeprecationWarning", *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": sources, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of Django with the files of the page in it."""
    run(tmp_path, "-m", "django", "startproject", "shop", ".", "--settings=")
    run(tmp_path, "manage.py", "startapp", "orders")
    (tmp_path / "orders" / "tests.py").unlink()
    write_files(sections("django.md")[0], tmp_path)
    return tmp_path


SIGN_IN = """
import shop.asgi
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.backends.db import SessionStore
from starlette.testclient import TestClient


def statuses(*names):
    user = get_user_model().objects.create_user("+".join(names) or "nobody")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    cookies = {"sessionid": session.session_key}
    with TestClient(shop.asgi.application, "http://localhost", False, cookies=cookies) as client:
        paths = ["/ops/vouchers/", "/ops/vouchers/lists/new", "/orders-that-are-not"]
        return [client.get(path).status_code for path in paths]


assert statuses() == [403, 403, 404]
assert statuses("view_order") == [200, 403, 404]
assert statuses("view_order", "change_order") == [200, 200, 404]
with TestClient(shop.asgi.application, "http://localhost") as stranger:
    assert stranger.get("/ops/vouchers/").status_code == 403
    stranger.cookies["sessionid"] = "made-up"
    assert stranger.get("/ops/vouchers/").status_code == 403
"""


def test_the_django_project_of_the_page_passes_its_tests_and_serves_the_page(project: Path) -> None:
    write_files((PAGES / "page.md").read_text(encoding="utf-8"), project)
    run(project, "manage.py", "makemigrations", "orders")
    assert "Ran 3 tests" in run(project, "manage.py", "test")
    run(project, "manage.py", "migrate")
    run(project, "-c", "import shop.wsgi; assert shop.wsgi.vouchers().partners.all() == []\n" + SIGN_IN)
    assert (project / "shop.db").exists()


@pytest.mark.deep
@postgres
def test_the_django_project_passes_its_tests_on_postgres(project: Path, place: Place) -> None:
    run(project, "manage.py", "makemigrations", "orders")
    write_files(sections("django.md")[1], project)
    with (project / "shop" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(
            f"DATABASES['default'].update(NAME='postgres', USER='postgres', HOST={place.django['HOST']!r})"
        )
    assert "Ran 3 tests" in run(project, "manage.py", "test")
