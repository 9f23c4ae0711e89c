"""One transaction on one connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from partner_vouchers.adapters.postgres.codes import (
    PostgresAssignments,
    PostgresCodes,
    PostgresLimits,
    PostgresReservations,
)
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.leases import PostgresLeases
from partner_vouchers.adapters.postgres.outbox import PostgresOutbox
from partner_vouchers.adapters.postgres.redemptions import PostgresRedemptions
from partner_vouchers.adapters.postgres.revocations import PostgresRevocations
from partner_vouchers.adapters.sql.transaction import Part, SqlTransaction

if TYPE_CHECKING:
    from partner_vouchers.adapters.postgres.shared import Shared


class PostgresTransaction(SqlTransaction[Session]):
    """The repositories of one transaction, which `commit` ends."""

    def __init__(self, session: Session, shared: Shared, commit: Callable[[], None]) -> None:
        super().__init__(session, shared.catalog, commit)
        self.shared: Shared = shared
        self._last_taken: dict[int, int] = {}

    assignments: Part[PostgresAssignments] = Part(PostgresAssignments)
    revocations: Part[PostgresRevocations] = Part(PostgresRevocations)
    reservations: Part[PostgresReservations] = Part(PostgresReservations)
    limits: Part[PostgresLimits] = Part(PostgresLimits)
    outbox: Part[PostgresOutbox] = Part(PostgresOutbox)
    redemptions: Part[PostgresRedemptions] = Part(PostgresRedemptions)

    @property
    def codes(self) -> PostgresCodes:
        return PostgresCodes(self.session, self.shared.heads, self._last_taken)

    @property
    def leases(self) -> PostgresLeases:
        return PostgresLeases(self.session, self.shared.liveness)

    def commit(self) -> None:
        joined = self.session.joined
        super().commit()
        if not joined:
            # What a host does with its transaction is not known here.
            for number, last in self._last_taken.items():
                self.shared.heads.move(number, last)
