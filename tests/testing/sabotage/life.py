"""Memory storages that are wrong about what becomes of a code after it is given out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from partner_vouchers.adapters.memory import codes, records, redemptions, reservations, revocations, users
from partner_vouchers.domain.limits import Window
from partner_vouchers.domain.redemption import Redemption
from partner_vouchers.domain.reservation import Reservation, ReservationState
from partner_vouchers.ports import RunOut, Taken, Unsent
from tests.testing.sabotage.adapters import THE_MACHINE, Fault, entering

LIFE: list[Fault] = []
fault = entering(LIFE)

_end = reservations.Reservations.end
_end_run_out = reservations.Reservations.end_run_out
_take = codes.Codes.take
_run_out = reservations.Reservations.run_out
_add = revocations.Revocations.add
_given_to = reservations.Limits.given_to
_revert = redemptions.Redemptions.revert
_rename = users.Users.rename
_holding = codes.Assignments.holding


@fault(THE_MACHINE, reservations.Reservations, "end")
def released_code_that_is_lost(
    self: reservations.Reservations, reservation: Reservation, state: ReservationState, at: datetime
) -> None:
    _end(self, reservation, state, at)
    if state is ReservationState.RELEASED:
        self._unit.tables.stocks[reservation.list_id].returned.pop(reservation.code_id, None)


@fault("test_the_oldest_end_first_and_no_more_than_asked", reservations.Reservations, "end_run_out")
def the_youngest_reservation_ends_first(
    self: reservations.Reservations, now: datetime, limit: int, **of: Any
) -> list[Reservation]:
    return _end_run_out(self, now, 99, **of)[::-1][:limit]


@fault("test_taking_reports_a_reservation_that_has_run_out", reservations.Reservations, "end_run_out")
def reservation_that_never_runs_out(
    self: reservations.Reservations, now: datetime, limit: int, **of: Any
) -> list[Reservation]:
    return _end_run_out(self, now - timedelta(days=9), limit, **of)


@fault(
    "test_those_of_a_withdrawn_upload_are_counted_on_their_own",
    reservations.Reservations,
    "_upload_is_withdrawn",
)
def code_of_a_withdrawn_upload_that_returns_to_it(self: reservations.Reservations, each: Reservation) -> bool:
    return False


@fault(THE_MACHINE, reservations.Reservations, "run_out")
def withdrawn_code_that_shows_as_available(self: reservations.Reservations, *asked: Any) -> dict[str, RunOut]:
    return {list_id: RunOut(codes, 0) for list_id, (codes, _) in _run_out(self, *asked).items()}


@fault(
    "test_redemptions_come_back_as_they_were_stored_with_their_events", redemptions.Redemptions, "set_order"
)
def order_that_changes_an_event_that_was_sent(
    self: redemptions.Redemptions, changed: Sequence[Redemption]
) -> None:
    for each in changed:
        self._replace(each)
        outbox = self._unit.tables.outbox
        for place, entry in enumerate(outbox):
            if entry.event == evolve(each, order_id=None).event:
                outbox[place] = evolve(entry, event=each.event)


@fault(THE_MACHINE, codes.Codes, "take")
def returned_code_that_waits_for_all_others(
    self: codes.Codes, list_id: str, *asked: Any, **how: Any
) -> Taken:
    stock = self._unit.tables.stocks.get(list_id)
    returned = dict(stock.returned) if stock is not None else {}
    if stock is not None and any(batch.available for batch in stock.batches):
        stock.returned.clear()
    taken = _take(self, list_id, *asked, **how)
    if stock is not None:
        stock.returned.update({key: each for key, each in returned.items() if each not in taken.codes})
    return taken


@fault(THE_MACHINE, codes.Assignments, "holding")
def revoked_code_that_is_still_held(self: codes.Assignments, *asked: Any) -> Any:
    given = self.given_to(asked[:1], *asked[1:])
    return _holding(self, *asked)._replace(held=given[-1] if given else None)


@fault(THE_MACHINE, revocations.Revocations, "add")
def restocked_code_under_the_same_id(self: revocations.Revocations, revocation: Any) -> None:
    _add(self, revocation)
    stock = self._unit.tables.stocks[revocation.assignment.list_id]
    for key, each in list(stock.returned.items()):
        if each.code == revocation.assignment.code:
            del stock.returned[key]
            stock.returned[revocation.assignment.id] = each._replace(id=revocation.assignment.id)


@fault(THE_MACHINE, reservations.Limits, "count")
def limit_that_counts_what_was_revoked(
    original: Any, self: reservations.Limits, campaign_id: str, keys: Collection[str], codes: int
) -> None:
    if codes > 0:
        original(self, campaign_id, keys, codes)


@fault(THE_MACHINE, reservations.Limits, "given_to")
def limit_of_a_user_without_reservations(
    self: reservations.Limits, user_ids: Collection[str], campaign_id: str, window: Window, now: datetime
) -> dict[str, int]:
    return _given_to(self, user_ids, campaign_id, window, now + timedelta(days=31))


@fault(THE_MACHINE, redemptions.Redemptions, "revert")
def reverted_redemption_that_still_counts(self: redemptions.Redemptions, redemption: Redemption) -> None:
    _revert(self, redemption)
    self._replace(evolve(redemption, reverted_at=None))


@fault(THE_MACHINE, users.Users, "rename")
def forgotten_user_whose_codes_are_kept(self: users.Users, user_id: str, new_id: str) -> int:
    return _rename(self, "nobody", new_id)


@fault(THE_MACHINE, revocations.Revocations, "unsent")
def event_of_a_revoked_code_that_is_sent(self: revocations.Revocations, positions: Collection[int]) -> Unsent:
    return Unsent()


@fault(THE_MACHINE, records.Deliveries, "save_progress")
def delivery_that_begins_anew(self: records.Deliveries, sink: str, progress: Any) -> None:
    first: Sequence[str] = list(self._unit.tables.progress)
    if sink not in first:
        self._unit.log.put(self._unit.tables.progress, sink, progress)
