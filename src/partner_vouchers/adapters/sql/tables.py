"""Which tables of a host's database are the library's."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from partner_vouchers.errors import InvalidInput

_SHARED = re.compile(r"\{(\w+)\}")
_CREATED = re.compile(r"(?:CREATE (?:TABLE|VIEW|SEQUENCE)|RENAME TO) (?:IF NOT EXISTS )?pv_(\w+)")


def owns_table(name: str, *, prefix: str = "pv_") -> bool:
    """Return whether a table, view or sequence of a database belongs to a storage of this library.

    Migration tools ask it to leave these tables alone. Other tables with the same prefix are not the library's.

    Args:
        name: the name, without a schema.
        prefix: the `prefix` of the `PostgresStorage`. That of `SQLiteStorage` is always `pv_`.

    Raises:
        InvalidInput: an argument is no string.

    Example:
        >>> from partner_vouchers import owns_table
        >>> owns_table("pv_lists"), owns_table("orders"), owns_table("pv_orders")
        (True, False, False)
    """
    for field, value in (("name", name), ("prefix", prefix)):
        if not isinstance(value, str):
            raise InvalidInput(field=field, reason=f"must be a string, not {type(value).__name__}")
    return name.startswith(prefix) and name.removeprefix(prefix) in _names()


def read_migration(database: str, name: str, render: Callable[[str], str]) -> str:
    """Return a script that makes or upgrades the tables of a database.

    Args:
        database: the adapter that has the script.
        name: its file. `{first_tables}` in it is replaced by `first_tables.sql`, which both databases share.
        render: turns that into the SQL of the database. It has the types of PostgreSQL.
    """
    script = _script(database, name)
    return _SHARED.sub(lambda found: render(_script("sql", f"{found[1]}.sql")), script)


def _script(adapter: str, name: str) -> str:
    scripts = resources.files("partner_vouchers.adapters").joinpath(adapter, "migrations")
    return scripts.joinpath(name).read_text(encoding="utf-8")


@cache
def _names() -> frozenset[str]:
    """Return the names, without prefix, that the migrations of both databases have given to tables so far."""
    adapters = resources.files("partner_vouchers.adapters")
    scripts = [
        script.read_text(encoding="utf-8")
        for database in ("sql", "sqlite", "postgres")
        for script in adapters.joinpath(database, "migrations").iterdir()
        if script.name.endswith(".sql")
    ]
    return frozenset(name for script in scripts for name in _CREATED.findall(script))
