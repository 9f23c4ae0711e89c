"""A unit of work: what a transaction does, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from attrs import evolve

from partner_vouchers.adapters.memory.tables import Tables
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import StorageError

K = TypeVar("K")
V = TypeVar("V")


class UndoLog:
    """Makes changes at once, and remembers for each how to undo it.

    The step is remembered before the change is made, and can be run whether or not it was: an interrupt
    between the two leaves nothing half-done.
    """

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def undo(self, down_to: int) -> None:
        """Undo all but the first `down_to` changes, the latest first."""
        while len(self._steps) > down_to:
            self._steps[-1]()
            # Only after it was done: doing it again does no harm, but an interrupt may come between the two.
            self._steps.pop()

    def put(self, mapping: dict[K, V], key: K, value: V) -> None:
        """Set an entry of a dict."""
        self._remember(mapping, key)
        mapping[key] = value

    def update(self, mapping: dict[K, V], entries: dict[K, V]) -> None:
        """Set many entries of a dict, with one step that undoes them."""
        before = {key: mapping[key] for key in entries if key in mapping}

        def undo() -> None:
            for key in entries:
                if key not in before:
                    mapping.pop(key, None)
            mapping.update(before)

        self._steps.append(undo)
        mapping.update(entries)

    def drop(self, mapping: dict[K, V], key: K) -> V | None:
        """Remove an entry of a dict, where it exists, and return it."""
        self._remember(mapping, key)
        return mapping.pop(key, None)

    def append(self, sequence: list[V], value: V) -> None:
        """Append to a list."""
        self._steps.append(partial(sequence.__delitem__, slice(len(sequence), None)))
        sequence.append(value)

    def keep(self, sequence: list[V], kept: list[V]) -> None:
        """Replace all items of a list."""
        self._steps.append(partial(sequence.__setitem__, slice(None), list(sequence)))
        sequence[:] = kept

    def set(self, target: object, name: str, value: object) -> None:
        """Set an attribute."""
        self._steps.append(partial(setattr, target, name, getattr(target, name)))
        setattr(target, name, value)

    def _remember(self, mapping: dict[K, V], key: K) -> None:
        if key in mapping:
            self._steps.append(partial(mapping.__setitem__, key, mapping[key]))
        else:
            self._steps.append(partial(mapping.pop, key, None))


class Unit:
    """Gives access to the tables until it ends.

    A unit within another shares the log of the outer one, and can undo its own part of it.

    Attributes:
        write: whether it may change the tables.
    """

    def __init__(
        self,
        tables: Tables,
        log: UndoLog,
        *,
        write: bool,
        outer: Unit | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._tables = tables
        self._log = log
        self._start = len(log)
        self._outer = outer
        self._on_end = on_end
        self._ended = False
        self._reason: StorageError | None = None
        self.write = write

    @property
    def is_open(self) -> bool:
        """Whether neither this unit nor one around it has ended."""
        return not self._ended and (self._outer is None or self._outer.is_open)

    @property
    def tables(self) -> Tables:
        """The tables, to read.

        Raises:
            StorageError: the unit has ended.
        """
        self.require_open()
        return self._tables

    @property
    def log(self) -> UndoLog:
        """That through which the tables are changed.

        Raises:
            StorageError: the unit has ended, or may only read.
        """
        self.require_open()
        if not self.write:
            raise StorageError(reason="the transaction only reads; open one with begin(write=True)")
        return self._log

    def count(self, list_id: str, **changes: int) -> Counts:
        """Add to counters of a list, by name, and return all of them.

        Raises:
            UnknownList: there is no such list.
        """
        voucher_list = self.tables.list(list_id)
        added = {name: getattr(voucher_list.counts, name) + change for name, change in changes.items()}
        counts = evolve(voucher_list.counts, **added)
        self.log.put(self.tables.lists, list_id, evolve(voucher_list, counts=counts))
        return counts

    def require_open(self) -> None:
        """Check that the unit has not ended.

        Raises:
            StorageError: it has.
        """
        if not self.is_open:
            raise self._reason or StorageError(reason="the transaction has ended; open another with begin()")

    def within(self, *, write: bool) -> Unit:
        """Return a unit that is part of this one."""
        return Unit(self.tables, self._log, write=write and self.write, outer=self)

    def end(self, *, undo: bool) -> None:
        """End the unit; undo what was done in it, or keep it.

        An interrupt before the end leaves it open, and it can be ended again.
        """
        if undo:
            self._log.undo(self._start)
        self._ended = True
        if self._on_end is not None:
            self._on_end()

    def cut_off(self, reason: StorageError) -> None:
        """Make every further use an error, and leave what was done as it is."""
        self._ended, self._reason = True, reason


class Repository:
    """Works on the tables of a unit."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
