"""One transaction on one connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from partner_vouchers.adapters.sql.assignments import SqlIdempotencyKeys
from partner_vouchers.adapters.sql.campaigns import Catalog, SqlCampaigns
from partner_vouchers.adapters.sql.deliveries import SqlDeliveries
from partner_vouchers.adapters.sql.lists import SqlLists, SqlPartners
from partner_vouchers.adapters.sql.records import SqlAudit, SqlSettings
from partner_vouchers.adapters.sql.redemptions import SqlRedemptions, SqlReports
from partner_vouchers.adapters.sql.reservations import SqlLimits, SqlRefusals, SqlReservations
from partner_vouchers.adapters.sql.revocations import SqlRevocations
from partner_vouchers.adapters.sql.session import Session
from partner_vouchers.adapters.sql.uploads import SqlUploads
from partner_vouchers.adapters.sql.users import SqlUsers
from partner_vouchers.errors import StorageError

AnySession = TypeVar("AnySession", bound=Session)


Repository = TypeVar("Repository", covariant=True)


class Part(Generic[Repository]):
    """A repository of a transaction, which is made each time it is asked for."""

    def __init__(self, kind: Callable[[Any], Repository]) -> None:
        self._kind = kind

    def __get__(self, tx: SqlTransaction[Any], owner: object) -> Repository:
        return self._kind(tx.session)


class SqlTransaction(Generic[AnySession]):
    """The repositories of one transaction (`ports.Transaction`). A database adds those in which it differs.

    Attributes:
        session: the connection, for the other parts of the adapter.
        commit: makes the changes durable, and ends the transaction.
        expired: whether it has ended.
    """

    expired: bool = False

    def __init__(self, session: AnySession, catalog: Catalog, commit: Callable[[], None]) -> None:
        self.session: AnySession = session
        self._catalog = catalog
        self.commit: Callable[[], None] = commit

    def expire(self) -> None:
        """Make every further use an error."""
        self.expired = True
        self.session = _ENDED
        # It refers to the context, which refers to the transaction: free both at once.
        self.commit = _refuse

    @property
    def catalog(self) -> Catalog:
        """What the storage remembers of its lists; each storage has one of its own."""
        return self._catalog

    partners: Part[SqlPartners] = Part(SqlPartners)
    lists: Part[SqlLists] = Part(SqlLists)
    keys: Part[SqlIdempotencyKeys] = Part(SqlIdempotencyKeys)
    deliveries: Part[SqlDeliveries] = Part(SqlDeliveries)
    limits: Part[SqlLimits] = Part(SqlLimits)
    refusals: Part[SqlRefusals] = Part(SqlRefusals)
    audit: Part[SqlAudit] = Part(SqlAudit)
    uploads: Part[SqlUploads] = Part(SqlUploads)
    revocations: Part[SqlRevocations] = Part(SqlRevocations)
    users: Part[SqlUsers] = Part(SqlUsers)
    redemptions: Part[SqlRedemptions] = Part(SqlRedemptions)
    reports: Part[SqlReports] = Part(SqlReports)
    settings: Part[SqlSettings] = Part(SqlSettings)

    @property
    def reservations(self) -> SqlReservations:
        return SqlReservations(self.session)

    @property
    def campaigns(self) -> SqlCampaigns:
        return SqlCampaigns(self.session, self._catalog)


class _Ended:
    """Takes the place of the session of a transaction that has ended."""

    def __getattr__(self, name: str) -> NoReturn:
        raise has_ended()


_ENDED: Any = _Ended()


def _refuse() -> NoReturn:
    raise has_ended()


def has_ended() -> StorageError:
    """Return the error for a use of a transaction that has ended."""
    return StorageError(reason="the transaction has ended; open another one with storage.begin()")
