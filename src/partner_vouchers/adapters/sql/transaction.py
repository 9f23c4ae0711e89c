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


class SqlTransaction(Generic[AnySession]):
    """The repositories of one transaction (`ports.Transaction`). A database adds those in which it differs.

    Attributes:
        session: the connection, for the other parts of the adapter.
    """

    def __init__(self, session: AnySession, catalog: Catalog, commit: Callable[[], None]) -> None:
        self.session: AnySession = session
        self._catalog = catalog
        self._commit = commit

    @property
    def expired(self) -> bool:
        """Whether the transaction has ended."""
        return isinstance(self.session, _Ended)

    def expire(self) -> None:
        """Make every further use an error."""
        self.session = _ENDED
        # It refers to the context, which refers to the transaction: free both at once.
        self._commit = _refuse

    @property
    def catalog(self) -> Catalog:
        """What the storage remembers of its lists; each storage has one of its own."""
        return self._catalog

    @property
    def partners(self) -> SqlPartners:
        return SqlPartners(self.session)

    @property
    def lists(self) -> SqlLists:
        return SqlLists(self.session)

    @property
    def campaigns(self) -> SqlCampaigns:
        return SqlCampaigns(self.session, self._catalog)

    @property
    def keys(self) -> SqlIdempotencyKeys:
        return SqlIdempotencyKeys(self.session)

    @property
    def deliveries(self) -> SqlDeliveries:
        return SqlDeliveries(self.session)

    @property
    def reservations(self) -> SqlReservations:
        return SqlReservations(self.session)

    @property
    def limits(self) -> SqlLimits:
        return SqlLimits(self.session)

    @property
    def refusals(self) -> SqlRefusals:
        return SqlRefusals(self.session)

    @property
    def audit(self) -> SqlAudit:
        return SqlAudit(self.session)

    @property
    def uploads(self) -> SqlUploads:
        return SqlUploads(self.session)

    @property
    def revocations(self) -> SqlRevocations:
        return SqlRevocations(self.session)

    @property
    def users(self) -> SqlUsers:
        return SqlUsers(self.session)

    @property
    def redemptions(self) -> SqlRedemptions:
        return SqlRedemptions(self.session)

    @property
    def reports(self) -> SqlReports:
        return SqlReports(self.session)

    @property
    def settings(self) -> SqlSettings:
        return SqlSettings(self.session)

    def commit(self) -> None:
        self._commit()


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
