"""What no storage can do within a transaction of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import HostTransactionError


class JoinedStorage:
    """A storage whose transactions are parts of a host's, which only the host commits. A subclass begins them."""

    def join(self, connection: object) -> NoReturn:
        raise HostTransactionError(
            reason="this is within a host's transaction already; join the storage itself"
        )

    def import_codes(self, upload: Upload, scope: str, counts: Callable[[State], bool]) -> NoReturn:
        raise HostTransactionError(reason="codes cannot be imported within a host's transaction")

    def abandon(self, upload_id: str) -> NoReturn:
        raise HostTransactionError(reason="an upload cannot be abandoned within a host's transaction")

    def reclaim(self, seconds: float | None = None) -> None:
        """Do nothing: the host's transaction would hold the locks."""
