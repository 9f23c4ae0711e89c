"""Keep two processes from working on the same upload, also when one of them was killed."""

from __future__ import annotations

from datetime import datetime, timedelta

from partner_vouchers.errors import UploadInterrupted
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Wiring

LEASE = timedelta(seconds=30)
"""How long an upload may be silent before others take it for dead."""

_RENEW_AFTER = timedelta(seconds=5)
_POLL_SECONDS = 0.05


class UploadLease:
    """The leases of one upload: on its list from the start, on its scope while codes are claimed.

    Whoever loses a lease stops at the next transaction, before it writes anything, so a process that was only
    slow cannot spoil what another one took over.
    """

    def __init__(self, wiring: Wiring, upload_id: str) -> None:
        self._wiring = wiring
        self._upload_id = upload_id
        self._holder = wiring.new_token()
        self._names: list[str] = []
        self._renewed_at: datetime = wiring.now()

    def take_list(self, tx: Transaction, list_id: str) -> bool:
        """Take the lease on a list; return False where another upload has it.

        If the transaction is aborted, discard this object.
        """
        name = f"upload list {list_id}"
        if not self._take(tx, name):
            return False
        self._names.append(name)
        return True

    def wait_for_scope(self, scope: str) -> None:
        """Take the lease on a scope, as soon as no upload to another list of that scope has it."""
        name = f"upload scope {scope}"

        def take(tx: Transaction) -> bool:
            self.keep(tx)
            return self._take(tx, name)

        while not self._wiring.write_alone(take):
            self._wiring.pause(_POLL_SECONDS)
        self._names.append(name)

    def keep(self, tx: Transaction) -> None:
        """Make sure in a transaction that the leases are still held, and renew them from time to time.

        Raises:
            UploadInterrupted: another process has taken the upload over.
        """
        if not all(tx.leases.held(name, self._holder) for name in self._names):
            raise UploadInterrupted(upload_id=self._upload_id)
        now = self._wiring.now()
        if now - self._renewed_at >= _RENEW_AFTER:
            for name in self._names:
                tx.leases.take(name, self._holder, now, now + LEASE)
            self._renewed_at = now

    def beat(self) -> None:
        """Renew the leases when it is time, in a separate transaction."""
        if self._wiring.now() - self._renewed_at >= _RENEW_AFTER:
            self._wiring.write_alone(self.keep)

    def release(self, tx: Transaction) -> None:
        """Give all leases back."""
        for name in self._names:
            tx.leases.release(name, self._holder)

    def give_back(self) -> None:
        """Release all leases, in a separate transaction."""
        self._wiring.write_alone(self.release)

    def _take(self, tx: Transaction, name: str) -> bool:
        now = self._wiring.now()
        return tx.leases.take(name, self._holder, now, now + LEASE)
