"""`PartnerVouchers`: the library as its caller holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from partner_vouchers.domain.arguments import (
    require_callable,
    require_duration,
    require_mapping,
    require_methods,
)
from partner_vouchers.domain.codes import CodeFormat, CodeRules
from partner_vouchers.domain.duplicates import DuplicatePolicy, PerPartnerAndTag
from partner_vouchers.domain.text import require_name
from partner_vouchers.host_connections import join
from partner_vouchers.observers import Observer, observe, require_observers
from partner_vouchers.ports import Clock, Storage
from partner_vouchers.usecases.audit import AuditGroup
from partner_vouchers.usecases.campaigns import CampaignsGroup
from partner_vouchers.usecases.codes import CodesGroup
from partner_vouchers.usecases.delivery.retention import KEEP_EVENTS
from partner_vouchers.usecases.events import EventsGroup
from partner_vouchers.usecases.lists import ListsGroup
from partner_vouchers.usecases.partners import PartnersGroup
from partner_vouchers.usecases.redemptions import RedemptionsGroup
from partner_vouchers.usecases.transactions import check_policy
from partner_vouchers.usecases.uploads import UploadsGroup
from partner_vouchers.usecases.wiring import EligibilityRule, Wiring


def utc_now() -> datetime:
    """Return the present instant: the default clock."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


class PartnerVouchers:
    """Partners, voucher lists, uploads, campaigns and codes on one storage.

    The object is light and has no state of its own; threads may share it.

    Attributes:
        partners: the brands whose codes are given out.
        lists: the voucher lists.
        uploads: the uploads of code files.
        campaigns: the links between lists and campaigns.
        codes: the codes and who has them.
        redemptions: the codes that were used.
        events: the delivery of events to sinks.
        audit: the log of changes.

    Example:
        >>> from partner_vouchers import PartnerVouchers
        >>> from partner_vouchers.adapters.memory import MemoryStorage
        >>> PartnerVouchers(MemoryStorage()).partners.add("Puma").name
        'Puma'
    """

    def __init__(
        self,
        storage: Storage,
        *,
        duplicates: DuplicatePolicy | None = None,
        code_format: CodeRules | None = None,
        clock: Clock | None = None,
        eligibility: Mapping[str, EligibilityRule] | None = None,
        keep_events: timedelta | None = KEEP_EVENTS,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Compose the library. This does no I/O: the first call opens the storage and checks its duplicate policy.

        Args:
            storage: where everything is kept, such as `adapters.sqlite.SQLiteStorage("vouchers.db")`.
            duplicates: where a code must be unique; per partner and tag by default. The storage remembers it.
            code_format: what a valid code is; `CodeFormat()` by default.
            clock: returns the present instant as an aware datetime; the system's clock by default.
            eligibility: the host's rules that campaign links may name: functions from a user's context to bool.
            keep_events: how long after it happened an event is kept that every sink has; None for ever. Without any
                sink, all are kept.
            observers: objects that are called for each call; see `partner_vouchers.observers`.

        Raises:
            InvalidInput: an argument is of a wrong type, or `keep_events` is negative.
        """
        self._observers = require_observers(observers)
        duplicates = PerPartnerAndTag() if duplicates is None else duplicates
        code_format = CodeFormat() if code_format is None else code_format
        rules = {} if eligibility is None else require_mapping("eligibility", eligibility)
        wiring = Wiring(
            storage=require_methods(
                "storage", storage, ("begin", "join"), 'a storage such as SQLiteStorage("vouchers.db")'
            ),
            duplicates=require_methods("duplicates", duplicates, ("scope",), "a policy such as PerPartner()"),
            code_format=require_methods(
                "code_format", code_format, ("trim", "fault"), "a CodeFormat, or rules of your own"
            ),
            clock=utc_now if clock is None else require_callable("clock", clock),
            eligibility={
                require_name("eligibility", name): require_callable("eligibility", rule)
                for name, rule in rules.items()
            },
            keep_events=None
            if keep_events is None
            else require_duration(
                "keep_events", keep_events, "must be a timedelta that is not negative, or None for ever"
            ),
        )
        require_name("duplicates.name", getattr(duplicates, "name", None))
        self._setup(wiring)

    def check(self) -> None:
        """Open the storage and check that it can be used: for a health check, or at start-up.

        Raises:
            DuplicatePolicyMismatch: the storage was set up with another duplicate policy.
            StorageError: the storage cannot be used; its subclasses say why.

        Example:
            >>> vouchers.check()
        """
        check_policy(self._wiring)

    def close(self) -> None:
        """Store what this process has counted and not stored yet; call it when the process ends.

        These are the refused requests (`campaigns.refusals`) of the last second. The storage stays open, and you can
        still use the object.
        """
        self._wiring.store_refusals()

    def __repr__(self) -> str:
        return f"PartnerVouchers({self._wiring.storage!r}, duplicates={self._wiring.duplicates.name!r})"

    def using(self, connection: object) -> PartnerVouchers:
        """Return the same library within a host's open transaction.

        Its calls are part of that transaction, which the library never commits: the host's rows, the code and its
        event are stored together or not at all. Each call is a savepoint: a call that raises is rolled back, and the
        transaction goes on. With SQLAlchemy and Django you may keep the returned object: each call joins the
        transaction that `connection` has open at that moment.

        Args:
            connection: an open connection to the storage's database: the driver's own, a `sqlite3.Connection` or
                `psycopg.Connection`; a `Connection`, `Session` or `scoped_session` of SQLAlchemy;
                `django.db.connection`.

        Raises:
            HostTransactionError: the connection is of an unknown or an asynchronous kind, belongs to another
                database, is closed, must be rolled back, or has no transaction that the host would commit.

        Example:
            >>> import sqlite3
            >>> from partner_vouchers.adapters.sqlite import SQLiteStorage
            >>> vouchers = PartnerVouchers(SQLiteStorage("shop.db"))
            >>> connection = sqlite3.connect("shop.db")
            >>> vouchers.using(connection).partners.add("Puma").name
            'Puma'
            >>> connection.rollback()
            >>> vouchers.partners.all()
            []
            >>> connection.close()
        """
        joined = object.__new__(PartnerVouchers)
        joined._observers = self._observers
        storage = join(self._wiring.storage, connection)
        joined._setup(evolve(self._wiring, storage=storage, in_host_transaction=True))
        return joined

    def _setup(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.partners: PartnersGroup = PartnersGroup(wiring)
        self.lists: ListsGroup = ListsGroup(wiring)
        self.uploads: UploadsGroup = UploadsGroup(wiring)
        self.campaigns: CampaignsGroup = CampaignsGroup(wiring)
        self.codes: CodesGroup = CodesGroup(wiring)
        self.redemptions: RedemptionsGroup = RedemptionsGroup(wiring)
        self.events: EventsGroup = EventsGroup(wiring)
        self.audit: AuditGroup = AuditGroup(wiring)
        if self._observers:
            for name, group in vars(self).copy().items():
                if not name.startswith("_"):
                    observe(group, name, self._observers)
