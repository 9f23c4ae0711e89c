"""All that can be done in one transaction."""

from __future__ import annotations

from typing import Protocol

from partner_vouchers.ports.codes import Assignments, Codes, IdempotencyKeys
from partner_vouchers.ports.deliveries import Deliveries
from partner_vouchers.ports.journal import Audit, Leases, Outbox, Settings
from partner_vouchers.ports.lists import Campaigns, Lists, Partners
from partner_vouchers.ports.uploads import Uploads


class Transaction(Protocol):
    """All that can be done in one transaction."""

    @property
    def partners(self) -> Partners: ...
    @property
    def lists(self) -> Lists: ...
    @property
    def campaigns(self) -> Campaigns: ...
    @property
    def codes(self) -> Codes: ...
    @property
    def assignments(self) -> Assignments: ...
    @property
    def keys(self) -> IdempotencyKeys: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def uploads(self) -> Uploads: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def settings(self) -> Settings: ...

    def commit(self) -> None:
        """Make everything durable and visible. The transaction ends.

        Raises:
            TransactionConflict: it was given up instead, with certainty.
            ConnectionLost: the connection was lost before the commit was asked for.
            CommitOutcomeUnknown: it was lost afterwards, and nobody knows what came of it.
        """
        ...
