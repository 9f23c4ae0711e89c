"""What the transactions of one storage share within a process."""

from __future__ import annotations

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.heads import Heads
from partner_vouchers.adapters.postgres.liveness import Liveness
from partner_vouchers.adapters.postgres.names import Names
from partner_vouchers.adapters.postgres.schema import require_version
from partner_vouchers.adapters.sql.campaigns import Catalog


class Shared:
    """What the transactions of one storage share within a process.

    Attributes:
        names: the names of the tables.
        catalog: the lists of campaigns that were asked for lately.
        heads: where the codes of each list begin, as far as is known.
        liveness: how others know that this process is alive.
    """

    def __init__(self, names: Names, liveness: Liveness) -> None:
        self.names: Names = names
        self.catalog: Catalog = Catalog()
        self.heads: Heads = Heads()
        self.liveness: Liveness = liveness
        self._is_migrated = False

    def require_migrated(self, session: Session) -> None:
        """Check, once, that the tables are those of this version of the library.

        Raises:
            StorageNotMigrated: they are not there, or older.
            SchemaTooNew: a newer version of this library has upgraded them.
        """
        if not self._is_migrated:
            require_version(session)
            self._is_migrated = True
