"""One transaction on one connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from partner_vouchers.adapters.postgres.assignments import PostgresAssignments, PostgresIdempotencyKeys
from partner_vouchers.adapters.postgres.campaigns import PostgresCampaigns
from partner_vouchers.adapters.postgres.codes import PostgresCodes
from partner_vouchers.adapters.postgres.deliveries import PostgresDeliveries
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.journal import (
    PostgresAudit,
    PostgresLeases,
    PostgresOutbox,
    PostgresSettings,
)
from partner_vouchers.adapters.postgres.lists import PostgresLists, PostgresPartners
from partner_vouchers.adapters.postgres.uploads import PostgresUploads
from partner_vouchers.errors import StorageError

if TYPE_CHECKING:
    from partner_vouchers.adapters.postgres.shared import Shared


class PostgresTransaction:
    """The repositories of one transaction, which `commit` ends."""

    def __init__(self, session: Session, shared: Shared, commit: Callable[[], None]) -> None:
        self._session: Session | None = session
        self._shared = shared
        self._commit = commit
        self._taken: dict[int, int] = {}

    @property
    def expired(self) -> bool:
        """Whether the transaction has ended."""
        return self._session is None

    def expire(self) -> None:
        """Make every further use an error."""
        self._session = None

    @property
    def session(self) -> Session:
        """The connection, for the other parts of this adapter."""
        if self._session is None:
            raise StorageError(reason="the transaction has ended; open another one with storage.begin()")
        return self._session

    @property
    def shared(self) -> Shared:
        """What the transactions of the storage share."""
        return self._shared

    @property
    def partners(self) -> PostgresPartners:
        """See `ports.Partners`."""
        return PostgresPartners(self.session)

    @property
    def lists(self) -> PostgresLists:
        """See `ports.Lists`."""
        return PostgresLists(self.session)

    @property
    def campaigns(self) -> PostgresCampaigns:
        """See `ports.Campaigns`."""
        return PostgresCampaigns(self.session, self._shared.catalog)

    @property
    def codes(self) -> PostgresCodes:
        """See `ports.Codes`."""
        return PostgresCodes(self.session, self._shared.heads, self._taken)

    @property
    def assignments(self) -> PostgresAssignments:
        """See `ports.Assignments`."""
        return PostgresAssignments(self.session)

    @property
    def keys(self) -> PostgresIdempotencyKeys:
        """See `ports.IdempotencyKeys`."""
        return PostgresIdempotencyKeys(self.session)

    @property
    def outbox(self) -> PostgresOutbox:
        """See `ports.Outbox`."""
        return PostgresOutbox(self.session)

    @property
    def deliveries(self) -> PostgresDeliveries:
        """See `ports.Deliveries`."""
        return PostgresDeliveries(self.session)

    @property
    def audit(self) -> PostgresAudit:
        """See `ports.Audit`."""
        return PostgresAudit(self.session)

    @property
    def uploads(self) -> PostgresUploads:
        """See `ports.Uploads`."""
        return PostgresUploads(self.session)

    @property
    def leases(self) -> PostgresLeases:
        """See `ports.Leases`."""
        return PostgresLeases(self.session, self._shared.presence)

    @property
    def settings(self) -> PostgresSettings:
        """See `ports.Settings`."""
        return PostgresSettings(self.session)

    def commit(self) -> None:
        """See `ports.Transaction`."""
        joined = self.session.joined
        self.session.count_given()
        self._commit()
        if not joined:
            # What a host does with its transaction is not known here.
            for number, last in self._taken.items():
                self._shared.heads.move(number, last)
