"""Keep two processes from sending to the same sink, also after one of them was killed."""

from __future__ import annotations

import threading
from datetime import timedelta

from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Wiring

LEASE = timedelta(seconds=30)
"""How long an owner may be silent before others take over."""

_RENEW_SECONDS = 8.0


class SinkLease:
    """The lease on a sink. Only its owner sends to it."""

    def __init__(self, wiring: Wiring, sink: str) -> None:
        self._wiring = wiring
        self._name = f"deliver:{sink}"
        self._owner = wiring.new_token()
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self, tx: Transaction) -> bool:
        """Take or renew the lease; return False if another process has it."""
        now = self._wiring.now()
        return tx.leases.take(self._name, self._owner, now, now + LEASE)

    def is_ours(self, tx: Transaction) -> bool:
        """Return whether no other process has taken over."""
        return tx.leases.held(self._name, self._owner)

    def release(self, tx: Transaction) -> None:
        """Release the lease, if it is ours."""
        tx.leases.release(self._name, self._owner)

    def keep(self) -> None:
        """Renew the lease from now on, in another thread, however long the sink takes."""
        if self._renewing is None:
            self._renewing = threading.Thread(
                target=self._renew_until_end, name="partner_vouchers lease", daemon=True
            )
            self._renewing.start()

    def close(self) -> None:
        """Stop renewing."""
        self._ended.set()
        if self._renewing is not None:
            self._renewing.join()

    def _renew_until_end(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                self._wiring.write_alone(self._renew)
            except StorageError:
                # The next transaction of the delivery run finds out whether the lease was lost.
                continue

    def _renew(self, tx: Transaction) -> None:
        if self.is_ours(tx):
            self.take(tx)
        tx.commit()
