"""Find the driver's connection in what a host hands over."""

from __future__ import annotations

import psycopg

from partner_vouchers.adapters.postgres.driver import Connection
from partner_vouchers.errors import HostTransactionError


def driver_connection(host: object) -> Connection:
    """Return the psycopg connection behind a host's object.

    Raises:
        HostTransactionError: it is of a kind that is not known here.
    """
    if isinstance(host, psycopg.Connection):
        return host
    raise HostTransactionError(
        reason=f"pass an open psycopg.Connection to the database of the storage, not {type(host).__name__}"
    )
