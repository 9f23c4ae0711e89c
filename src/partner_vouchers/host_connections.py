"""What a host holds a transaction with: a driver's connection, or one of SQLAlchemy or Django around it.

Neither framework is imported: a host that passes one of its objects has loaded it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, cast

from partner_vouchers.errors import HostTransactionError
from partner_vouchers.ports import AsyncHostConnection, Storage, Transaction

_NOT_ASYNC = (
    "an asynchronous session or connection can be joined within its run_sync() only: "
    "await session.run_sync(lambda session: vouchers.using(session).codes.assign(...)); or use AsyncPartnerVouchers"
)
_ASYNCIO = "sqlalchemy.ext.asyncio"
_ASYNC = "AsyncConnection", "AsyncSession", "async_scoped_session"


def join(storage: Storage, connection: object) -> Storage:
    """Return a storage whose transactions are part of the one that is open on what a host holds.

    Raises:
        HostTransactionError: nothing can be joined with it; the reason says what to pass instead.
    """
    if _is_a(connection, "sqlalchemy.engine", "Engine"):
        raise HostTransactionError(
            reason="an Engine has no transaction; pass a Connection, as `with engine.begin() as connection:` "
            "gives it, or a Session"
        )
    if _is_a(connection, "sqlalchemy.orm", "sessionmaker"):
        raise HostTransactionError(
            reason="a sessionmaker has no transaction; pass a Session that it made, as "
            "`with make_session.begin() as session:` gives it"
        )
    if _is_a(connection, _ASYNCIO, "AsyncEngine", "async_sessionmaker", *_ASYNC):
        raise HostTransactionError(reason=_NOT_ASYNC)
    if _is_a(connection, "sqlalchemy.engine", "Connection") or _is_a(
        connection, "sqlalchemy.orm", "Session", "scoped_session"
    ):
        return cast(Storage, _Followed(storage, connection, _of_sqlalchemy))
    if "django.db" in sys.modules and hasattr(connection, "in_atomic_block"):
        return cast(Storage, _Followed(storage, connection, _of_django))
    return storage.join(connection)


def join_async(connection: object) -> Callable[[], Callable[..., Coroutine[Any, Any, Any]]]:
    """Return what returns the `run_sync` of what an asynchronous host holds its transaction with.

    Raises:
        HostTransactionError: it is no `AsyncSession`, `AsyncConnection` or `async_scoped_session` of SQLAlchemy. What
            is returned raises it while the connection is not open.
    """
    if _is_a(connection, _ASYNCIO, "AsyncEngine", "async_sessionmaker"):
        raise HostTransactionError(
            reason=f"an {type(connection).__name__} has no transaction; pass an AsyncConnection, as `async with "
            "engine.begin() as connection:` gives it, or an AsyncSession"
        )
    if not _is_a(connection, _ASYNCIO, *_ASYNC):
        raise HostTransactionError(
            reason="pass an AsyncSession or AsyncConnection of SQLAlchemy, "
            f"not {type(connection).__name__}; a synchronous connection belongs to "
            "PartnerVouchers(...).using(connection)"
        )
    given: Any = connection

    def run_sync() -> Callable[..., Coroutine[Any, Any, Any]]:
        is_scoped = _is_a(given, _ASYNCIO, "async_scoped_session")
        session = given() if is_scoped else given
        if getattr(session, "sync_connection", session) is None:
            raise HostTransactionError(
                reason="the AsyncConnection is not open; use it within `async with engine.begin() as connection:`"
            )
        found: Callable[..., Coroutine[Any, Any, Any]] = session.run_sync
        return found

    return run_sync


def _is_a(given: object, module: str, *names: str) -> bool:
    loaded = sys.modules.get(module)
    return isinstance(given, tuple(getattr(loaded, name) for name in names if hasattr(loaded, name)))


def _is_same(connection: object, known: object) -> bool:
    if isinstance(connection, AsyncHostConnection) and isinstance(known, AsyncHostConnection):
        return connection.driver is known.driver
    return connection is known


def _in_greenlet() -> bool:
    """Tell whether SQLAlchemy can wait here for an asynchronous driver, as it can within `run_sync()`."""
    return bool(sys.modules["sqlalchemy.util.concurrency"].in_greenlet())


class _Followed:
    """A storage that joins the transaction which the host's framework is in at the time of each call.

    After a commit, the driver's connection, and the transaction on it, may serve another caller.
    """

    def __init__(self, storage: Storage, given: object, driver_connection: Callable[[Any], object]) -> None:
        self._storage = storage
        self._given = given
        self._driver_connection = driver_connection
        self._latest: tuple[object, Storage | None] = (None, None)
        self._joined()

    def _joined(self) -> Storage:
        connection = self._driver_connection(self._given)
        # Threads may share this, each with a connection of its own: a scoped_session, or Django's.
        known, joined = self._latest
        if joined is None or not _is_same(connection, known):
            joined = self._storage.join(connection)
            self._latest = (connection, joined)
        return joined

    def begin(self, *, write: bool = True) -> AbstractContextManager[Transaction]:
        return self._joined().begin(write=write)

    def __getattr__(self, name: str) -> Any:
        """Do what else is asked of a storage as the joined one does, which refuses most of it."""
        return getattr(self._joined(), name)


def _of_sqlalchemy(given: Any) -> object:
    """Return the driver's connection below a Connection or Session, whose transaction is begun.

    Source: https://docs.sqlalchemy.org/en/21/core/connections.html (driver connections, autobegin).
    """
    try:
        if _is_a(given, "sqlalchemy.orm", "scoped_session"):
            given = given()
        session = given if _is_a(given, "sqlalchemy.orm", "Session") else None
        is_async = (session.get_bind() if session else given).dialect.is_async
        if is_async and not _in_greenlet():
            raise HostTransactionError(reason=_NOT_ASYNC)
        connection = session.connection() if session else given
        adapted = connection.connection.dbapi_connection
        driver = connection.connection.driver_connection
        if not connection.in_transaction():
            # As executing a statement would: or commit() and rollback() would do nothing.
            connection.begin()
    except sys.modules["sqlalchemy.exc"].SQLAlchemyError as error:
        refusal = _of_sqlalchemy_error(error)
    else:
        try:
            _require_somebody_commits(connection, adapted, driver)
        except connection.dialect.dbapi.Error as error:
            refusal = HostTransactionError(reason=f"the connection cannot be used ({type(error).__name__})")
        else:
            if is_async:
                return AsyncHostConnection(driver, sys.modules["sqlalchemy.util.concurrency"].await_only)
            return driver
    # Outside of the `except` blocks: those errors may quote the parameters of a statement, codes among them.
    raise refusal


def _require_somebody_commits(connection: Any, adapted: object, driver: object) -> None:
    # An asynchronous driver keeps the connection of sqlite3, which alone knows all of this, in a thread of its own.
    plain = getattr(driver, "_conn", driver)
    if _commits_by_itself(connection, adapted, plain):
        raise HostTransactionError(
            reason="the isolation level is AUTOCOMMIT, which commits each statement by itself; pass a Connection "
            "or Session with another one"
        )
    legacy = getattr(plain, "isolation_level", None) is not None and getattr(plain, "autocommit", -1) == -1
    if connection.dialect.name == "sqlite" and legacy and connection.in_nested_transaction():
        # The driver begins nothing before a SAVEPOINT, and a SAVEPOINT that begins a transaction commits at its end.
        raise HostTransactionError(
            reason="within begin_nested() the driver sqlite3 may not have begun a transaction, so that the end of "
            "the savepoint would commit; let the engine emit BEGIN itself, or pass autocommit=False to sqlite3"
        )


def _commits_by_itself(connection: Any, adapted: object, plain: object) -> bool:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    try:
        by_default = bool(connection.dialect.detect_autocommit_setting(adapted))
    except (AttributeError, NotImplementedError):
        # Another driver, or an older SQLAlchemy: the storage's own check must do.
        return False
    # Where a listener emits BEGIN itself, sqlite3 was told to begin nothing.
    return by_default and not getattr(plain, "in_transaction", False)


def _of_sqlalchemy_error(error: Exception) -> HostTransactionError:
    if _is_a(error, "sqlalchemy.exc", "UnboundExecutionError"):
        return HostTransactionError(
            reason="the session does not know which of its databases is meant; pass "
            "session.connection(bind_arguments={'mapper': Order}) with a model of the storage's database"
        )
    driver_error = getattr(error, "orig", None)
    names = type(error).__name__ + (f" of {type(driver_error).__name__}" if driver_error else "")
    return HostTransactionError(
        reason=f"SQLAlchemy returned no connection with a transaction ({names}); "
        "roll back what has failed, or pass a Connection or Session that is open"
    )


def _of_django(wrapper: Any) -> object:
    """Return the driver's connection below a Django one, which is in an `atomic` block or in manual mode.

    Source: https://docs.djangoproject.com/en/5.2/topics/db/transactions/
    """
    try:
        wrapper.validate_thread_sharing()
        wrapper.validate_no_broken_transaction()
        # Connects, where it is not connected yet.
        autocommit = wrapper.get_autocommit()
    except Exception as error:  # noqa: BLE001 - of which Django raises several kinds
        failure = type(error).__name__
    else:
        if autocommit:
            raise HostTransactionError(
                reason="Django commits each statement by itself here; call within `with transaction.atomic():`"
            )
        return wrapper.connection
    # Outside of the `except` block: the error may quote the parameters of a statement, codes among them.
    raise HostTransactionError(
        reason=f"Django returned no connection with a transaction ({failure}); "
        "leave the atomic() block that has failed, and call in the thread that opened the connection"
    )
