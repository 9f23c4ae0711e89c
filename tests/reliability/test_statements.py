"""Two calls at once on PostgreSQL: wherever one comes between two statements of the other, the result is that of some
order.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from itertools import count, permutations
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.postgres.codes import PostgresReservations
from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.errors import PartnerVouchersError
from tests.reliability.schedules import ONE, SINGLE, Act, Shop, furnish, outcome_of
from tests.support.host import PATIENCE, wait_until
from tests.support.postgres import connections_of, schemas, server

# Without those that make lists, since a call that is refused may use up an id.
CALLS: dict[str, Act] = {name: act for name, act in SINGLE.items() if not name.startswith("create")}
CALLS["forget"] = lambda host: host.vouchers.codes.forget_user("rob")
# Where locks alone keep one call from seeing half of the other.
DELICATE = [("limit", "confirm"), ("limit", "release"), ("forget", "confirm"), ("confirm", "forget")]


@contextmanager
def a_shop() -> Iterator[tuple[Shop, str]]:
    """Make a shop, with a reservation in a campaign that its list is not linked to any more."""
    with schemas().lend() as schema:
        conninfo = make_conninfo(server().conninfo, application_name=schema)
        with closing(PostgresStorage(conninfo, schema=schema, timeout=PATIENCE)) as storage:
            first = Shop(storage)
            furnish(first)
            codes = first.vouchers.codes
            for reserved in codes.reservations(user_id="rob"):
                codes.release(reserved.id)
            codes.reserve(campaign_id="CMP", user_id="rob", ttl=timedelta(hours=1))
            first.vouchers.campaigns.unlink(ONE, "CMP")
            host = Shop(storage)
            with patch("partner_vouchers.usecases.taking_back.uuid4", return_value=UUID(int=1)):
                yield host, schema


class Halt:
    """Does something before a statement of this thread, given by its number."""

    METHODS = "execute", "fetch", "queue", "run", "commit"

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self._left = number
        self._act = act
        self._thread = threading.get_ident()
        self.was_reached = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        with ExitStack() as patches:
            for name in self.METHODS:
                method = self._halting(getattr(Session, name))
                patches.enter_context(patch.object(Session, name, method))
            yield

    def _halting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if threading.get_ident() == self._thread:
                self._left -= 1
                if self._left == 0:
                    self.was_reached = True
                    self._act()
            return method(*arguments, **options)

        return call


def made(host: Shop, name: str) -> object:
    try:
        return CALLS[name](host)
    except PartnerVouchersError as error:
        return error
    finally:
        host.hang_up()


def in_order(*names: str) -> object:
    with a_shop() as (host, _):
        results = {name: made(host, name) for name in names}
        return come_to(host, [results[name] for name in sorted(names)])


def come_to(host: Shop, results: list[object]) -> object:
    answers, there, events = outcome_of(host, results)
    # Events of different users change places.
    return answers, there, sorted(map(repr, events)), host.vouchers.campaigns.limits("CMP")


def played(first: str, second: str, number: int) -> object:
    """Make the second call before a statement of the first one, as far as it comes before it waits for a lock.

    Returns:
        what they came to; None if the first one has fewer statements.
    """
    with a_shop() as (host, schema):
        results: dict[str, object] = {}
        other = threading.Thread(target=lambda: results.update({second: made(host, second)}))

        def meanwhile() -> None:
            other.start()
            wait_until(lambda: not other.is_alive() or connections_of(schema, "wait_event_type = 'Lock'"))

        halt = Halt(number, meanwhile)
        with halt.installed():
            results[first] = made(host, first)
        if not halt.was_reached:
            return None
        other.join(PATIENCE)
        return come_to(host, [results[name] for name in sorted(results)])


def require_some_order(first: str, second: str) -> None:
    outcomes = [in_order(first, second), in_order(second, first)]
    for number in count(1):
        found = played(first, second, number)
        if found is None:
            return
        assert found in outcomes, f"{second} before statement {number} of {first}"


@pytest.mark.deep
def test_two_calls_at_once_come_to_what_they_come_to_in_some_order() -> None:
    for first, second in [*DELICATE, *random.Random(1).sample([*permutations(CALLS, 2)], 2)]:
        require_some_order(first, second)


@pytest.mark.deep
def test_a_lock_that_is_missing_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresReservations, "_share_counts", lambda *_: None)
    with pytest.raises(AssertionError, match="before statement"):
        require_some_order("limit", "confirm")
