"""Keep two relays from working on the same lane, also when one of them was killed."""

from __future__ import annotations

import threading
from collections.abc import Collection
from datetime import timedelta

from partner_vouchers.errors import StorageError
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.wiring import Wiring

LEASE = timedelta(seconds=30)
"""How long a relay may be silent before others take it for dead."""

_RENEW_SECONDS = 8.0


class LaneLeases:
    """The leases of one delivery on the lanes of a sink."""

    def __init__(self, wiring: Wiring, sink: str, holder: str) -> None:
        self._wiring = wiring
        self._sink = sink
        self._holder = holder
        self._lanes: set[int] = set()
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, tx: Transaction, lane: int) -> bool:
        """Take the lease on a lane; return False where another relay has it."""
        now = self._wiring.now()
        if not tx.leases.take(self._name(lane), self._holder, now, now + LEASE):
            return False
        with self._mutex:
            self._lanes.add(lane)
        return True

    def held(self, tx: Transaction, lane: int) -> bool:
        """Tell whether nobody else has taken a lane over."""
        return tx.leases.held(self._name(lane), self._holder)

    def release(self, tx: Transaction, lane: int) -> None:
        """Give a lane back."""
        with self._mutex:
            self._lanes.discard(lane)
        tx.leases.release(self._name(lane), self._holder)

    def beat(self) -> None:
        """Renew the leases from now on, from another thread, however long the sink takes."""
        if self._heart is None:
            self._heart = threading.Thread(
                target=self._renew_until_end, name="partner_vouchers leases", daemon=True
            )
            self._heart.start()

    def close(self) -> None:
        """Give everything back."""
        self._ended.set()
        if self._heart is not None:
            self._heart.join()
        if self._lanes:
            transact(self._wiring, self._release_all, tuple(self._lanes))

    def _renew_until_end(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                self._renew()
            except StorageError:
                # Whoever settles a batch finds out whether the lease was lost.
                continue

    def _renew(self) -> None:
        with self._mutex:
            lanes = tuple(self._lanes)
        # One at a time: whoever settles batches meanwhile must not wait for one lease while this waits for another.
        for lane in lanes:
            transact(self._wiring, self._renew_one, lane)

    def _renew_one(self, tx: Transaction, lane: int) -> None:
        now = self._wiring.now()
        if self.held(tx, lane):
            tx.leases.take(self._name(lane), self._holder, now, now + LEASE)
        tx.commit()

    def _release_all(self, tx: Transaction, lanes: Collection[int]) -> None:
        for lane in lanes:
            self.release(tx, lane)
        tx.commit()

    def _name(self, lane: int) -> str:
        return f"deliver:{self._sink}:{lane}"
