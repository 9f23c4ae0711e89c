"""A transaction."""

from __future__ import annotations

from typing import Protocol

from partner_vouchers.errors import Unsupported
from partner_vouchers.ports.codes import Assignments, Codes, IdempotencyKeys
from partner_vouchers.ports.deliveries import Deliveries
from partner_vouchers.ports.journal import Audit, Leases, Outbox, Settings
from partner_vouchers.ports.lists import Campaigns, Lists, Partners
from partner_vouchers.ports.redemptions import Redemptions, Reports
from partner_vouchers.ports.reservations import Limits, Refusals, Reservations
from partner_vouchers.ports.revocations import Revocations
from partner_vouchers.ports.uploads import Uploads
from partner_vouchers.ports.users import Users


class OptionalParts(Protocol):
    """The parts of a transaction that a storage may leave out. A class that inherits from this one leaves them out.

    Raises:
        Unsupported: the storage leaves the part out.
    """

    @property
    def reservations(self) -> Reservations:
        """The codes that are set aside."""
        raise Unsupported(ability="reservations")

    @property
    def limits(self) -> Limits:
        """The limits of campaigns."""
        raise Unsupported(ability="limits")

    @property
    def refusals(self) -> Refusals:
        """The refused requests."""
        raise Unsupported(ability="refusals")

    @property
    def revocations(self) -> Revocations:
        """The codes that were taken back."""
        raise Unsupported(ability="revocations")

    @property
    def users(self) -> Users:
        """The search for ids of users."""
        raise Unsupported(ability="forgetting users")

    @property
    def redemptions(self) -> Redemptions:
        """Which codes were used."""
        raise Unsupported(ability="redemptions")

    @property
    def reports(self) -> Reports:
        """The reports of reconciliations."""
        raise Unsupported(ability="redemptions")


class Transaction(OptionalParts, Protocol):
    """One transaction, with the repositories that work in it."""

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
        """Commit, and end the transaction: what it did becomes durable and visible.

        Raises:
            TransactionConflict: the transaction was rolled back instead.
            ConnectionLost: the connection was lost before the commit was sent; nothing was stored.
            CommitOutcomeUnknown: the connection was lost during the commit: all or nothing was stored.
        """
