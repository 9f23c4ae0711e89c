"""A host's description of its adapter: how to open it, and what it does not support."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, TypeVar

import pytest
from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from partner_vouchers.errors import Unsupported
from partner_vouchers.ports import OptionalParts, Storage, Transaction

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_REASON = "__contract_override__"


def _stated(_instance: object, _attribute: object, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise TypeError("state a reason: it is what the report shows for each test that is left out")


@frozen
class UnsupportedHook:
    """An adapter's word that it cannot do something.

    Attributes:
        reason: why not; it is shown with each test that is skipped for it.
    """

    reason: str = field(validator=_stated)


def unsupported(reason: str) -> UnsupportedHook:
    """Declare in a hook that the adapter cannot do what the hook is for; the tests that need it are skipped.

    Args:
        reason: why not.

    Raises:
        TypeError: no reason is stated.

    Example:
        >>> unsupported("the data lives in this process").reason
        'the data lives in this process'
    """
    return UnsupportedHook(reason)


@frozen
class HostConnection:
    """A connection of a host's with a transaction open on it.

    Attributes:
        connection: what is passed to `Storage.join`.
        commit: commits the transaction.
        rollback: rolls it back.
    """

    connection: object
    commit: Callable[[], object]
    rollback: Callable[[], object]


def overrides_contract(*, reason: str) -> Callable[[F], F]:
    """Mark a test that replaces a test of the contract.

    A class that replaces a test without this mark cannot be defined, nor one that marks a test which replaces none.

    Args:
        reason: why the test of the contract cannot hold for this adapter.

    Raises:
        TypeError: no reason is stated.
    """
    _stated(None, None, reason)

    def mark(test: F) -> F:
        setattr(test, _REASON, reason)
        return test

    return mark


class Contract:
    """A set of tests that a host subclasses. None of them can be replaced silently, nor a test that is not there."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.split(".")[:2] == __name__.split(".")[:2]:
            return
        tests = _tests_of_the_kit(cls)
        for name in dir(cls):
            if name not in tests and hasattr(getattr(cls, name), _REASON):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides no test of the contract, which may have another name by now; "
                    "rename it, or remove @overrides_contract"
                )
        for name, test in tests.items():
            found = getattr(cls, name, None)
            if found is not test and not hasattr(found, _REASON):
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a test of the contract; rename it, or mark it with "
                    "@overrides_contract(reason=...)"
                )


def _tests_of_the_kit(cls: type) -> dict[str, object]:
    kit = __name__.rpartition(".")[0]
    found: dict[str, object] = {}
    for room in reversed(cls.__mro__):
        if room.__module__ == kit or room.__module__.startswith(f"{kit}."):
            found |= {name: test for name, test in vars(room).items() if name.startswith("test_")}
    return found


class StorageHooks(Contract):
    """Hooks that the tests of a storage call. `new_storage` is required.

    Each of the others either does what it says or returns `unsupported("why not")`. One that is neither implemented
    nor declared fails the tests that need it.
    """

    def new_storage(self, place: Path) -> Storage:
        """Return a new, empty storage.

        Args:
            place: an empty directory that no other storage gets. A storage that keeps its data elsewhere can make
                a name of its own from it, such as that of a database schema.
        """
        missing(self, "new_storage", "place", "MyStorage(place / 'data')")

    def close(self, storage: Storage) -> None:
        """Let go of a storage, which may have been closed already. By default its `close()` is called, if any."""
        close = getattr(storage, "close", None)
        if close is not None:
            close()

    def reopen(self, storage: Storage, place: Path) -> Storage | UnsupportedHook:
        """Return a storage on the data of another one, as the next start of the program would.

        Args:
            storage: the storage to end; it is not used any more.
            place: where `new_storage` made it.
        """
        missing(self, "reopen", "storage, place")

    def second_connection(self, storage: Storage, place: Path) -> Storage | UnsupportedHook:
        """Return another storage on the same data, used together with the first one, as by another process.

        Args:
            storage: the first one; it stays in use.
            place: where `new_storage` made it.
        """
        missing(self, "second_connection", "storage, place")

    def second_process(self, storage: Storage, place: Path) -> Callable[[], Storage] | UnsupportedHook:
        """Return what opens the same data in another process.

        It must be possible to pickle it: a class or function of a module that can be imported, or a
        `functools.partial` of one.

        Args:
            storage: the storage of this process; it stays in use.
            place: where `new_storage` made it.
        """
        missing(self, "second_process", "storage, place")

    def host_connection(
        self, storage: Storage, place: Path
    ) -> AbstractContextManager[HostConnection] | UnsupportedHook:
        """Return a context with a host's own connection to the same data and a transaction open on it.

        Leaving the context rolls back what is still open, and closes the connection.

        Args:
            storage: the storage whose `join` is tested.
            place: where `new_storage` made it.
        """
        missing(self, "host_connection", "storage, place")

    # --- what the tests use ---

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        """A new storage for one test."""
        opened = self.new_storage(tmp_path)
        yield opened
        self.close(opened)

    @contextmanager
    def fresh(self) -> Iterator[tuple[Storage, Path]]:
        """Give a new storage and its place to one example of a property."""
        # Some systems keep the files of a closed database busy for a moment.
        with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            storage = self.new_storage(Path(directory))
            try:
                yield storage, Path(directory)
            finally:
                self.close(storage)


def for_all(*strategies: SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Run a test inside a test on many examples. How long one takes is the storage's affair."""

    def prepare(check: Callable[..., None]) -> Callable[[], None]:
        unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
        return unhurried(given(*strategies)(check))

    return prepare


def require_hook(found: T | UnsupportedHook) -> T:
    """Return what a hook returned, or skip the test if the adapter does not support it."""
    if isinstance(found, UnsupportedHook):
        pytest.skip(found.reason)
    return found


def require_ability(storage: Storage, ability: str) -> None:
    """Skip the test where the storage leaves an optional part of its transactions out."""
    if ability not in abilities(storage):
        pytest.skip(f"this storage does not support {ability}")


def abilities(storage: Storage) -> set[str]:
    """Return the optional parts that a storage has."""

    def is_there(tx: Transaction, ability: str) -> bool:
        try:
            getattr(tx, ability)
        except Unsupported:
            return False
        return True

    with storage.begin(write=False) as tx:
        return {each for each in vars(OptionalParts) if not each.startswith("_") and is_there(tx, each)}


def needs(ability: str) -> Callable[[Callable[[Any, Storage], None]], Callable[[Any, Storage], None]]:
    """Mark a test of an optional part."""

    def decorate(test: Callable[[Any, Storage], None]) -> Callable[[Any, Storage], None]:
        @wraps(test)
        def run(self: StorageHooks, storage: Storage) -> None:
            require_ability(storage, ability)
            test(self, storage)

        return run

    return decorate


def must_raise(error: type[E] | tuple[type[E], ...], work: Callable[[], object]) -> E:
    """Require that a call raises an error, and return it. A failure shows the call, which pytest's `with` does not."""
    __tracebackhide__ = True
    with pytest.raises(error) as found:
        work()
    return found.value


def must_refuse(error: type[E], storage: Storage, work: Callable[[Transaction], object]) -> E:
    """Require that work in a transaction raises an error, at the latest when it ends, and return the error."""
    __tracebackhide__ = True
    with pytest.raises(error) as found, storage.begin() as tx:
        work(tx)
        tx.commit()
    return found.value


def missing(contract: object, hook: str, arguments: str, answer: str = "unsupported('why not')") -> NoReturn:
    """Fail the test that needs a hook which is neither implemented nor declared."""
    example = f"def {hook}(self, {arguments}): return {answer}"
    pytest.fail(
        f"{type(contract).__name__} does not implement the hook {hook!r}; write: {example}", pytrace=False
    )
