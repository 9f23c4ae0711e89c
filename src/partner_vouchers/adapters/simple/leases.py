"""Leases, computed from the last owner of each."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.ports.journal import Leases


class SimpleLeases(Leases):
    """`Leases` for a storage that does not know which processes are dead. The subclass says where they are kept."""

    def stored(self, name: str) -> tuple[str, datetime] | None:
        """Return the last owner of a lease and its end; None if the lease is free."""
        raise NotImplementedError

    def store(self, name: str, lease: tuple[str, datetime] | None) -> None:
        """Replace what `stored` returns."""
        raise NotImplementedError

    def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        last, ends = self.stored(name) or (holder, until)
        if last != holder and ends >= now:
            return False
        self.store(name, (holder, until))
        return True

    def held(self, name: str, holder: str) -> bool:
        lease = self.stored(name)
        return lease is not None and lease[0] == holder

    def release(self, name: str, holder: str) -> None:
        if self.held(name, holder):
            self.store(name, None)
