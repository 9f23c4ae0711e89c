"""Begin, commit and roll back a transaction."""

from __future__ import annotations

from traceback import clear_frames
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
            failure = self._translated(error)
        else:
            return tx
        # Outside of the `except` block: the driver's error may quote rows, and so codes.
        raise failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        committed = self._tx is not None and self._tx.expired
        if self._tx is not None:
            self._tx.expire()
        failure = None
        try:
            self._end()
        except self.driver_error as failed:
            failure = self._translated(failed)
        if isinstance(error, self.driver_error):
            raise self._translated(error) from None
        if isinstance(error, StorageError):
            # Parameters of statements are codes, too, and some tools show the variables of a traceback.
            clear_frames(traceback)
        # After a commit, no error may say that nothing was stored, or the caller would repeat it.
        if failure is not None and error is None and not committed:
            raise failure

    def _commit(self) -> None:
        if self._tx is None or self._tx.expired:
            raise has_ended()
        try:
            self._do_commit()
        except self.driver_error as error:
            failure = self._translated(error)
        else:
            self._tx.expire()
            return
        raise failure
