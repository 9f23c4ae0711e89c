"""What people would otherwise write, beside the library: a model of SQLAlchemy row by row, and one of Django.

Both take the next code that nobody has, note who has it, and store an event, in one durable transaction; neither checks
limits, keeps counts, or repeats an answer. Same machine, same durability, one caller, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, event, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    OPS,
    assigning,
    compare,
    for_new_users,
    new_list,
    random_codes,
    seconds,
    with_campaign,
)
from tests.support.host import a_file
from tests.support.postgres import Server

CODES, CALLS = 50_000, 300
UPLOADED = 10_000
GROUP = "Beside what people write themselves"


class Base(DeclarativeBase):
    pass


class Code(Base):
    __tablename__ = "naive_codes"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[str | None] = mapped_column(index=True)


class Event(Base):
    __tablename__ = "naive_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    code_id: Mapped[int] = mapped_column(ForeignKey("naive_codes.id"))


def durable(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def sqlite_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", durable)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def sqlalchemy_assign(engine: Engine) -> Callable[[str], object]:
    skip_locked = engine.dialect.name == "postgresql"

    def assign(user: str) -> object:
        with Session(engine) as session, session.begin():
            if found := session.scalars(select(Code).where(Code.user_id == user)).first():
                return found.code
            free = select(Code).where(Code.user_id.is_(None)).order_by(Code.id).limit(1)
            taken = session.scalars(free.with_for_update(skip_locked=True) if skip_locked else free).one()
            taken.user_id = user
            session.add(Event(code_id=taken.id))
            return taken.code

    return assign


def sqlalchemy_upload(engine: Engine, codes: list[str]) -> None:
    """Row by row, as a first version does: does it exist? Then add it."""
    with Session(engine) as session, session.begin():
        for code in codes:
            if session.scalars(select(Code).where(Code.code == code)).first() is None:
                session.add(Code(code=code))


def filled(engine: Engine, codes: list[str]) -> None:
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Code), [{"code": code} for code in codes])


def beside_theirs(name: str, theirs: Callable[[str], object], vouchers: PartnerVouchers) -> None:
    floor, library = for_new_users(CALLS, theirs), for_new_users(CALLS, assigning(vouchers))
    compare(GROUP, f"assign, {name}", floor, library, beside="theirs", goal=1)


def test_sqlalchemy_on_sqlite(tmp_path: Path) -> None:
    vouchers = with_campaign(SQLiteStorage(tmp_path / "library.db"), random_codes(CODES, seed=1))
    engine = sqlite_engine(tmp_path / "naive.db")
    filled(engine, random_codes(CODES, seed=1))
    beside_theirs("SQLAlchemy on SQLite", sqlalchemy_assign(engine), vouchers)
    codes, list_id = random_codes(UPLOADED, seed=2), new_list(vouchers, "new")
    theirs = seconds(lambda: sqlalchemy_upload(engine, codes))
    file = a_file(*codes)
    ours = seconds(lambda: vouchers.uploads.add(list_id, file, filename="codes.csv", uploaded_by=OPS))
    what = f"upload of {UPLOADED:,} codes, SQLAlchemy on SQLite: {ours:.2f} s"
    record(GROUP, what, ours / theirs, beside=f"theirs, row by row: {theirs:.1f} s", goal=1)
    engine.dispose()


@pytest.fixture
def postgres() -> Iterator[tuple[Server, PartnerVouchers]]:
    server = Server("shared_buffers=256MB")
    try:
        with closing(PostgresStorage(server.conninfo)) as storage:
            storage.migrate()
            yield server, with_campaign(storage, random_codes(CODES, seed=1))
    finally:
        server.remove()


def test_sqlalchemy_on_postgres(postgres: tuple[Server, PartnerVouchers]) -> None:
    server, vouchers = postgres
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(server.conninfo))
    filled(engine, random_codes(CODES, seed=1))
    beside_theirs("SQLAlchemy on PostgreSQL, SKIP LOCKED", sqlalchemy_assign(engine), vouchers)
    engine.dispose()


def test_django_on_postgres(postgres: tuple[Server, PartnerVouchers]) -> None:
    server, vouchers = postgres
    name = "Django on PostgreSQL, select_for_update(skip_locked=True)"
    beside_theirs(name, django_assign(server), vouchers)


def django_assign(server: Server) -> Callable[[str], object]:
    import django
    from django.conf import settings

    host, user, name = (part.partition("=")[2] for part in server.conninfo.split())
    settings.configure(
        DATABASES={
            "default": {"ENGINE": "django.db.backends.postgresql", "HOST": host, "USER": user, "NAME": name}
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from django.db import connection, models, transaction

    class DjangoCode(models.Model):  # type: ignore[misc]
        code = models.TextField(unique=True)
        user_id = models.TextField(null=True, db_index=True)

        class Meta:
            app_label = "naive"

    class DjangoEvent(models.Model):  # type: ignore[misc]
        code = models.ForeignKey(DjangoCode, on_delete=models.PROTECT)

        class Meta:
            app_label = "naive"

    with connection.schema_editor() as editor:
        editor.create_model(DjangoCode)
        editor.create_model(DjangoEvent)
    DjangoCode.objects.bulk_create([DjangoCode(code=code) for code in random_codes(CODES, seed=1)])

    def assign(user: str) -> object:
        with transaction.atomic():
            if found := DjangoCode.objects.filter(user_id=user).first():
                return found.code
            taken = (
                DjangoCode.objects.select_for_update(skip_locked=True)
                .filter(user_id=None)
                .order_by("id")
                .first()
            )
            assert taken is not None
            taken.user_id = user
            taken.save(update_fields=["user_id"])
            DjangoEvent.objects.create(code=taken)
            return taken.code

    return assign
