"""The calls that no storage supports within a transaction of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError


class JoinedStorage:
    """The storage that `Storage.join` returns: its transactions are parts of a host's, which only the host commits.

    Of the protocol the subclass writes `begin`.
    """

    def join(self, connection: object) -> NoReturn:
        """Refuse it."""
        raise HostTransactionError(
            reason="this is within a host's transaction already; join the storage itself"
        )

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> NoReturn:
        """Refuse it, since an upload has transactions of its own."""
        raise HostTransactionError(reason="codes cannot be imported within a host's transaction")

    def abandon(self, upload_id: str) -> NoReturn:
        """Refuse it, for the same reason."""
        raise HostTransactionError(reason="an upload cannot be abandoned within a host's transaction")

    def reclaim(self, seconds: float | None = None) -> None:
        """Do nothing: the host's transaction would hold the locks."""
