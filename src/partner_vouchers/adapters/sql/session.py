"""What the repositories need of a database: a connection within a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]
Value = str | int | bytes | None

T = TypeVar("T")


class Session(Protocol):
    """A connection within a transaction.

    A statement is the name of one in `statements`, or SQL text in the same form, built from them at run time.
    Every method raises a `StorageError` when the database fails or the transaction has ended.
    """

    @property
    def statements(self) -> Mapping[str, str]:
        """The statements by name, as `load_statements` returns them."""

    @property
    def writes(self) -> bool:
        """Whether the transaction may write. One that only reads takes no locks."""

    def fetch(self, statement: str, *parameters: Value) -> list[Row]:
        """Return all rows of a statement."""

    def change(self, statement: str, *parameters: Value) -> int:
        """Execute a statement and return how many rows it inserted, updated or deleted."""

    def queue(self, statement: str, *parameters: Value) -> None:
        """Execute a statement without an answer, at the latest with the commit, which then raises its error."""

    def queue_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Do what `queue` does for each row of parameters."""

    def insert_columns(self, statement: str, *columns: Sequence[Value]) -> None:
        """Insert rows at once, given as columns, with a statement that the database takes them by."""

    # Locks last until the transaction ends. After waiting for one, read with a later statement. Where the database
    # has one writer at a time they do nothing.

    def lock(self, *about: str) -> None:
        """Wait for, and take, the lock about something."""

    def share(self, *about: str) -> None:
        """Wait for, and take, the lock about something; others may have it shared at the same time."""

    def lock_many(self, about: Iterable[Sequence[str]]) -> None:
        """Take many locks, in an order in which two transactions never wait for one another."""

    def share_list(self, number: int) -> None:
        """Keep a list from being changed; others may do so at the same time."""

    def lock_list(self, number: int) -> None:
        """Wait until no other transaction takes codes of a list or changes it, and keep it so."""


class Repository:
    """A part of a transaction, on its connection."""

    def __init__(self, db: Session) -> None:
        self._db = db


def first(rows: Sequence[T]) -> T | None:
    """Return the first row, or None where there is none."""
    return rows[0] if rows else None
