"""What every use case is handed: the storage, the policies, the clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from attrs import field, frozen

from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.domain.events import Event, Recorded
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.text import require_name
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Clock, Storage, Transaction

EligibilityRule = Callable[[Mapping[str, object]], bool]
"""A host's rule over a user's context.

It must be quick, since the storage waits for it, and only answer, since a transaction that is repeated asks it again.
"""


@frozen
class Wiring:
    """The collaborators of the use cases.

    Attributes:
        storage: where everything is kept.
        duplicates: where a code must be unique.
        code_format: what a valid code is.
        clock: returns the present instant.
        eligibility: the host's eligibility rules by name.
        new_token: returns a text that no other process has.
        pause: waits for a number of seconds.
        chance: returns a random number from 0 to 1.
        keep_events: how long an event is kept after it was delivered; None for ever.
        in_host_transaction: whether the storage is joined to a host's transaction.
    """

    storage: Storage
    duplicates: DuplicatePolicy
    code_format: CodeRules
    clock: Clock
    eligibility: Mapping[str, EligibilityRule] = field(factory=dict)
    new_token: Callable[[], str] = lambda: uuid4().hex
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    keep_events: timedelta | None = None
    in_host_transaction: bool = False

    def now(self) -> datetime:
        """Return the present instant in UTC.

        Raises:
            NaiveDatetime: the clock that was handed in does not tell its time zone.
        """
        now = self.clock()
        return now if now.tzinfo is UTC else require_aware("clock", now)


def require_list(tx: Transaction, list_id: object) -> VoucherList:
    """Return a list.

    Raises:
        UnknownList: there is none with this id.
    """
    # A storage is asked only for texts; anything else is an id that nobody has.
    found = tx.lists.get(list_id) if isinstance(list_id, str) else None
    if found is None:
        raise UnknownList(list_id=str(list_id))
    return found


def require_held_list(tx: Transaction, list_id: str) -> VoucherList:
    """Return a list that the transaction will change: nobody else changes it or takes its codes meanwhile.

    Raises:
        UnknownList: there is none with this id.
    """
    found = tx.lists.get_for_update(list_id)
    if found is None:
        raise UnknownList(list_id=list_id)
    return found


def require_actor(actor: object) -> str | None:
    """Return who makes a change, for the audit log; None where the host does not say.

    Raises:
        InvalidInput: it is empty or holds a control character.
    """
    return None if actor is None else require_name("actor", actor)


def record(tx: Transaction, events: Sequence[Event], actor: str | None) -> None:
    """Store events with what caused them, and in the audit log where they are changes."""
    tx.outbox.append(events)
    tx.audit.append(actor, [event for event in events if isinstance(event, Recorded)])
