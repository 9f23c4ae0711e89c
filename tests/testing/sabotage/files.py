"""Faults of a storage in a file: what is on disk, in other connections, and in a host's transaction."""

from __future__ import annotations

import sqlite3

from partner_vouchers.adapters.sql.campaigns import SqlCampaigns
from partner_vouchers.adapters.sqlite import contexts, host
from partner_vouchers.ports import Offer
from tests.testing.sabotage.adapters import Fault

_commit = contexts.WriteContext._do_commit
_offer = SqlCampaigns.offer


def _commit_each_second(self: contexts.WriteContext) -> None:
    """Keep a commit back until the next one."""
    connection = self._connection
    assert connection is not None
    (pending,) = connection.execute("SELECT count(*) FROM pv_settings WHERE name = 'colour'").fetchone()
    if pending:
        connection.execute("ROLLBACK")
    else:
        _commit(self)


def _remembered(self: SqlCampaigns, campaign_id: str) -> Offer:
    """Ask the database only once."""
    known = self._catalog.get(campaign_id)
    return _offer(self, campaign_id) if known is None else known.offer


def _commit_of_the_host(self: host.HostContext) -> None:
    self._connection.commit()
    self._open = False


def _keep(self: host.HostContext) -> None:
    self._connection.text_factory = self._text_factory
    if self._open and self._connection.in_transaction:
        self._connection.execute("RELEASE pv_unit")
    self._open = False


def _any_file(connection: sqlite3.Connection, path: str) -> None:
    return None


FILES = [
    Fault(
        "commit that is not durable",
        "test_what_was_committed_is_there_after_reopening",
        ((contexts.WriteContext, "_do_commit", _commit_each_second),),
    ),
    Fault(
        "remembered lists that are out of date",
        "test_a_second_connection_sees_what_was_committed_at_once",
        ((SqlCampaigns, "offer", _remembered),),
    ),
    Fault(
        "joined transaction that commits",
        "test_the_hosts_rollback_undoes_what_was_done_in_its_transaction",
        ((host.HostContext, "_do_commit", _commit_of_the_host),),
    ),
    Fault(
        "joined transaction that keeps what failed",
        "test_leaving_without_commit_undoes_only_that_part",
        ((host.HostContext, "_end", _keep),),
    ),
    Fault(
        "connection of another database",
        "test_a_connection_to_another_storage_is_refused_or_leads_to_the_own_one",
        ((host, "_require_same_file", _any_file),),  # type: ignore[arg-type]
    ),
]
