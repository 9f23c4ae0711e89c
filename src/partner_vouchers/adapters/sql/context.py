"""Begin, commit and roll back a transaction."""

from __future__ import annotations

from types import TracebackType
from typing import Any, ClassVar, Generic, TypeVar

from partner_vouchers.adapters.sql.transaction import SqlTransaction, has_ended
from partner_vouchers.errors import StorageError

Tx = TypeVar("Tx", bound=SqlTransaction[Any])


class SqlContext(Generic[Tx]):
    """Opens a transaction, and rolls it back unless it was committed. A subclass knows the database."""

    driver_error: ClassVar[type[Exception]]
    """The root of the errors of the driver."""

    _tx: Tx | None = None

    def _translated(self, error: Exception) -> StorageError:
        """Return the error of this library for one of the driver."""
        raise NotImplementedError

    def _new_transaction(self) -> Tx:
        """Begin. After an error nothing is left open."""
        raise NotImplementedError

    def _do_commit(self) -> None:
        """Commit."""
        raise NotImplementedError

    def _end(self) -> None:
        """Roll back what was not committed, and return what was borrowed."""
        raise NotImplementedError

    def __enter__(self) -> Tx:
        try:
            tx = self._tx = self._new_transaction()
        except self.driver_error as error:
            raise self._translated(error) from error
        return tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        committed = self._tx is not None and self._tx.expired
        if self._tx is not None:
            self._tx.expire()
        try:
            self._end()
        except self.driver_error as failed:
            # After a commit nobody may read that nothing was stored, and repeat it.
            if error is None and not committed:
                raise self._translated(failed) from failed
        if isinstance(error, self.driver_error):
            raise self._translated(error) from error

    def _commit(self) -> None:
        if self._tx is None or self._tx.expired:
            raise has_ended()
        try:
            self._do_commit()
        except self.driver_error as error:
            raise self._translated(error) from error
        self._tx.expire()
