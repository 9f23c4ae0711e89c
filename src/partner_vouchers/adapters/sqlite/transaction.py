"""One transaction on one connection to SQLite."""

from __future__ import annotations

from partner_vouchers.adapters.sql.outbox import SqlOutbox
from partner_vouchers.adapters.sql.transaction import Part, SqlTransaction
from partner_vouchers.adapters.sqlite.codes import (
    SQLiteAssignments,
    SQLiteCodes,
    SQLiteLimits,
    SQLiteReservations,
)
from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.leases import SQLiteLeases
from partner_vouchers.adapters.sqlite.revocations import SQLiteRevocations
from partner_vouchers.adapters.sqlite.session import SQLiteSession


class SQLiteTransaction(SqlTransaction[SQLiteSession]):
    """The repositories of one transaction, which `commit` ends."""

    @property
    def db(self) -> Database:
        """The connection, for the other parts of this adapter."""
        return self.session.connection

    codes: Part[SQLiteCodes] = Part(SQLiteCodes)
    assignments: Part[SQLiteAssignments] = Part(SQLiteAssignments)
    outbox: Part[SqlOutbox] = Part(SqlOutbox)
    revocations: Part[SQLiteRevocations] = Part(SQLiteRevocations)
    limits: Part[SQLiteLimits] = Part(SQLiteLimits)

    @property
    def reservations(self) -> SQLiteReservations:
        return SQLiteReservations(self.session, self._catalog)

    @property
    def leases(self) -> SQLiteLeases:
        return SQLiteLeases(self.db)
