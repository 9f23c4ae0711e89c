"""A transaction: the repositories, on one unit of work."""

from __future__ import annotations

from partner_vouchers import ports
from partner_vouchers.adapters.memory.codes import Assignments, Codes
from partner_vouchers.adapters.memory.lists import Campaigns, Lists, Partners
from partner_vouchers.adapters.memory.records import (
    Audit,
    Deliveries,
    IdempotencyKeys,
    Leases,
    Outbox,
    Settings,
    Uploads,
)
from partner_vouchers.adapters.memory.redemptions import Redemptions, Reports
from partner_vouchers.adapters.memory.reservations import Limits, Refusals, Reservations
from partner_vouchers.adapters.memory.revocations import Revocations
from partner_vouchers.adapters.memory.unit import Unit
from partner_vouchers.adapters.memory.users import Users


class MemoryTransaction:
    """All that can be done in one transaction (`ports.Transaction`), by the thread that opened it.

    Attributes:
        unit: the unit of work; for this adapter only.
        storage: the storage that began it.
    """

    def __init__(self, unit: Unit, storage: ports.Storage, origin: str) -> None:
        self.unit = unit
        self.storage = storage
        self.partners: Partners = Partners(unit)
        self.lists: Lists = Lists(unit)
        self.campaigns: Campaigns = Campaigns(unit)
        self.codes: Codes = Codes(unit)
        self.keys: IdempotencyKeys = IdempotencyKeys(unit)
        self.outbox: Outbox = Outbox(unit, origin)
        self.deliveries: Deliveries = Deliveries(unit)
        self.assignments: Assignments = Assignments(unit, self.outbox)
        self.reservations: Reservations = Reservations(unit)
        self.limits: Limits = Limits(unit)
        self.refusals: Refusals = Refusals(unit)
        self.audit: Audit = Audit(unit)
        self.uploads: Uploads = Uploads(unit)
        self.redemptions: Redemptions = Redemptions(unit, self.outbox, self.assignments)
        self.revocations: Revocations = Revocations(unit, self.outbox, self.assignments)
        self.users: Users = Users(unit)
        self.reports: Reports = Reports(unit)
        self.leases: Leases = Leases(unit)
        self.settings: Settings = Settings(unit)

    def commit(self) -> None:
        """Keep what was done. The transaction ends.

        Raises:
            StorageError: it has ended before.
        """
        self.unit.require_open()
        self.unit.end(undo=False)
