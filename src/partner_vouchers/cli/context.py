"""What all commands share: the options, the storage, how results are shown, and the exit codes."""

from __future__ import annotations

import functools
import getpass
import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from enum import IntEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import frozen

from partner_vouchers import owns_table
from partner_vouchers.cli.output import print_facts, print_json, print_table, say, warn
from partner_vouchers.domain.codes import mask
from partner_vouchers.errors import InvalidInput
from partner_vouchers.ports import Storage
from partner_vouchers.vouchers import PartnerVouchers


class Exit(IntEnum):
    """The exit codes of all commands; stable.

    `OK`: done. `REFUSED`: the library refused the request, and nothing was changed. `USAGE`: the arguments are wrong.
    `FAULTS`: a file was refused, or some of its rows were. `NO_CODE`: no code could be given. `STORAGE`: the storage
    cannot be used, a file cannot be read or written, or events cannot be delivered. `FINDINGS`: `doctor` or
    `template check` found something. `INTERRUPTED`: Ctrl-C.
    """

    OK = 0
    REFUSED = 1
    USAGE = 2
    FAULTS = 3
    NO_CODE = 4
    STORAGE = 5
    FINDINGS = 6
    INTERRUPTED = 130


_PATIENCE = 10.0
"""Seconds to wait for a server, and for a lock of others: a person sits in front of it."""


def _default_actor() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "partner-vouchers"


Database = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="PARTNER_VOUCHERS_DB",
        metavar="FILE|URL",
        help="An SQLite file, or the address of a PostgreSQL database (postgresql://…).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Actor = Annotated[
    str,
    typer.Option("--actor", envvar="PARTNER_VOUCHERS_ACTOR", help="Who makes the change, for the audit log."),
]
DEFAULT_DATABASE = "vouchers.db"
DEFAULT_ACTOR = _default_actor()

_SHARED: Mapping[str, tuple[Any, object]] = {
    "db": (Database, DEFAULT_DATABASE),
    "json": (AsJson, False),
    "reveal": (
        Annotated[
            bool,
            typer.Option(
                "--reveal", help="Show whole codes. The audit log keeps who saw the code of a user."
            ),
        ],
        False,
    ),
    "yes": (Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")], False),
    "actor": (Actor, DEFAULT_ACTOR),
}
"""The options that many commands have, and what they are by default."""

ListId = Annotated[str, typer.Argument(metavar="LIST", help="The id of the list.")]
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The id of the campaign.")]
OfList = Annotated[str | None, typer.Option("--list", help="Only those of this list.")]
Limit = Annotated[int, typer.Option(help="How many at the most.")]
After = Annotated[str | None, typer.Option(help="The cursor of the next page.")]

Columns = Mapping[str, str | Callable[[Any], object]]
"""What is shown of an object: by its title, an attribute or a function of the object.

In a table a title that begins with `#` is of numbers.
"""


@frozen
class Terminal:
    """A command at work: the library, and the shared options as they were given."""

    vouchers: PartnerVouchers
    json: bool = False
    reveal: bool = False
    yes: bool = False
    actor: str = DEFAULT_ACTOR

    def code(self, code: str) -> str:
        """Return a code as it may be shown."""
        return code if self.reveal else mask(code)

    def reveal_code(self, assignment_id: str) -> None:
        """Write into the audit log that a user's whole code is shown, where it is."""
        if self.reveal:
            self.vouchers.codes.reveal(assignment_id, actor=self.actor)

    def answer(self, value: object, sentence: str) -> None:
        """Print what the library returned: a sentence, or JSON."""
        print_json(value, reveal=self.reveal) if self.json else say(sentence)

    def table(self, found: Any, columns: Columns, *, empty: str) -> None:
        """Print what the library returned as a table, or as JSON.

        Args:
            found: objects, or a page of them.
            columns: what is shown of each.
            empty: the sentence where there are none.
        """
        if self.json:
            print_json(found, reveal=self.reveal)
            return
        cells = [_getter(column) for column in columns.values()]
        print_table(list(columns), ([get(each) for get in cells] for each in found), empty=empty)
        if getattr(found, "next", None):
            say(f"There are more: --after {found.next}")

    def facts(self, found: object, columns: Columns) -> None:
        """Print one object, or JSON."""
        if self.json:
            print_json(found, reveal=self.reveal)
            return
        print_facts({title: _getter(column)(found) for title, column in columns.items()})

    def confirm(self, question: str) -> None:
        """Ask before what cannot be undone.

        Raises:
            typer.Exit: the answer is no.
            InvalidInput: there is no terminal to ask.
        """
        if self.yes:
            return
        if not typer.get_text_stream("stdin").isatty():
            raise InvalidInput(
                field="--yes", reason=f"is required where there is no terminal to answer: {question}"
            )
        if not typer.confirm(question):
            warn("Nothing was changed.")
            raise typer.Exit(Exit.REFUSED)


def _getter(column: str | Callable[[Any], object]) -> Callable[[Any], object]:
    return attrgetter(column) if isinstance(column, str) else column


Run = Callable[..., int | None]


def command(
    app: typer.Typer, panel: str, shared: str = "", *, name: str | None = None, create: bool | str = False
) -> Callable[[Run], Run]:
    """Return a decorator that makes a function a command: it is given a `Terminal` and its own options.

    Args:
        app: the command whose subcommand it is.
        panel: under which heading the help shows it.
        shared: the shared options that it has beside `--db`, such as `"json actor"`.
        name: its name; that of the function by default.
        create: whether it may create the SQLite file, or the option with which it may.
    """
    options = ["db", *shared.split()]

    def register(function: Run) -> Run:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        given = [
            inspect.Parameter(
                option,
                inspect.Parameter.KEYWORD_ONLY,
                default=_SHARED[option][1],
                annotation=_SHARED[option][0],
            )
            for option in options
        ]

        @functools.wraps(function)
        def run(**arguments: Any) -> int | None:
            chosen = {option: arguments.pop(option) for option in options}
            may_create = create if isinstance(create, bool) else arguments[create] is not None
            with opened(chosen.pop("db"), create=may_create) as vouchers:
                return function(Terminal(vouchers, **chosen), **arguments)

        keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run.__signature__ = inspect.Signature([*keyword, *given])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*keyword, *given)}
        app.command(name, rich_help_panel=panel)(run)
        return function

    return register


def is_postgres(database: str) -> bool:
    """Return whether the address of a database names a PostgreSQL server."""
    return database.startswith(("postgresql://", "postgres://"))


def open_storage(database: str, *, create: bool = False) -> Storage:
    """Return the storage at an address.

    Args:
        database: an SQLite file, or the address of a PostgreSQL database.
        create: whether a file that does not exist may be created.

    Raises:
        InvalidInput: the file does not exist or has no tables of this library, or the extra `postgres` is missing.
    """
    if is_postgres(database):
        try:
            from partner_vouchers.adapters.postgres import PostgresStorage
        except ModuleNotFoundError:
            raise InvalidInput(
                field="--db", reason="PostgreSQL needs an extra: pip install 'partner-vouchers[postgres]'"
            ) from None
        return PostgresStorage(database, max_connections=4, timeout=_PATIENCE)
    if "://" in database:
        scheme = database.partition("://")[0]
        raise InvalidInput(
            field="--db",
            reason=f"a database at {scheme}:// is not known; name an SQLite file, or postgresql://…",
        )
    from partner_vouchers.adapters.sqlite import SQLiteStorage

    try:
        storage = SQLiteStorage(database)
    except InvalidInput:
        raise InvalidInput(field="--db", reason="must be the path of a file") from None
    file = Path(database).absolute()
    if create or _has_tables(file):
        return storage
    missing = f"{str(file)!r} has no voucher lists" if file.exists() else f"there is no file {str(file)!r}"
    raise InvalidInput(
        field="--db",
        reason=f"{missing}; name another one with --db, or create it with `partner-vouchers migrate`",
    )


def _has_tables(file: Path) -> bool:
    """Return whether a file has tables of this library, so that looking at another program's file adds none."""
    if not file.exists():
        return False
    # A connection that only reads would leave a new WAL file behind, which the other program might not be able to open.
    mode = "mode=ro" if Path(f"{file.resolve()}-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error:
        # The error of the storage will say why the file cannot be read.
        return True
    return any(owns_table(name) for (name,) in names)


@contextmanager
def opened(database: str, *, create: bool = False) -> Iterator[PartnerVouchers]:
    """Open the library on a database, and close its storage afterwards."""
    storage = open_storage(database, create=create)
    try:
        yield PartnerVouchers(storage)
    finally:
        close = getattr(storage, "close", None)
        if close is not None:
            close()
