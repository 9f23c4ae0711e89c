"""Compare a storage with the model after each step."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from partner_vouchers.domain.events import CodeEvent, StockEvent
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.reservation import ReservationState
from partner_vouchers.errors import Unsupported
from partner_vouchers.ports import OutboxEntry, Storage, Transaction
from partner_vouchers.testing import driver
from partner_vouchers.testing.model import AVAILABLE
from partner_vouchers.testing.model_of_codes import Model
from partner_vouchers.testing.model_of_requests import Given
from partner_vouchers.vouchers import PartnerVouchers

_BY_TIME = ("list.expired", "list.expiring_soon")
_STOCK = ("list.running_low", "list.exhausted")


@define
class Shown:
    """The part of the outbox that was read so far.

    Attributes:
        abilities: the optional parts that the storage has.
        ids: the ids of all events, in order.
    """

    abilities: set[str]
    ids: list[str] = field(factory=list)

    def read(self, storage: Storage, model: Model) -> None:
        """Read the outbox: each change has one event, and so has each assignment."""
        entries = driver.outbox(storage)
        ids = [entry.id for entry in entries]
        assert ids[: len(self.ids)] == self.ids, "an event is gone, or came before others"
        assert len(set(ids)) == len(ids)
        found = Counter(_summary(entry) for entry in entries[len(self.ids) :])
        expected = Counter(model.events)
        for each in list(found | expected):
            # These depend on time alone, or on reservations that ran out, which a storage may see late.
            known = model.lists.get(each[1] or "")
            if each[0] in _BY_TIME or (each[0] in _STOCK and known is not None and known.had_run_out):
                found.pop(each, None)
                expected.pop(each, None)
        assert found == expected, "a change has no event, or two"
        self.ids = ids
        model.events.clear()
        _require_one_event_for_each_assignment(entries, model)


def require_as_modelled(vouchers: PartnerVouchers, storage: Storage, model: Model, shown: Shown) -> None:
    """Require that the storage shows what the model says."""
    model.settle()
    views = {view.id: view for view in vouchers.lists.find(limit=1000)}
    assert views.keys() == model.lists.keys()
    for list_id, known in model.lists.items():
        view = views[list_id]
        assert vouchers.lists.get(list_id) == view
        assert view.status is model.status(known)
        assert (view.version, view.name, view.expires_at) == (known.version, known.name, known.expires_at)
        assert view.campaigns == len(model.campaigns_of(list_id))
        assert {name: getattr(view, name) for name in known.counts} == known.counts
        assert view.uploaded == (
            view.available + view.reserved + view.distributed + view.withdrawn + view.retired
        )
    users = {each.user_id for each in model.reservations.values() if each.is_open}
    for campaign_id in model.limits:
        for user_id in sorted(users | {"ann"}):
            usages = vouchers.campaigns.limits(campaign_id, user_id=user_id)
            assert [each.used for each in usages] == model.used(campaign_id, user_id)
    shown.read(storage, model)
    with storage.begin(write=False) as tx:
        for list_id in model.lists:
            _require_codes(tx, list_id, model, shown)
        for campaign_id in ("CMP1", "CMP2"):
            linked = [link.list_id for link, _ in tx.campaigns.of_campaign(campaign_id)]
            assert linked == [link.list_id for link in model.lists_of(campaign_id)]
        for user_id in {given.user_id for given in model.given}:
            mine = [given.id for given in model.given if given.user_id == user_id]
            assert sorted(each.id for each in tx.assignments.of_user(user_id)) == sorted(mine)
        # Each was the latest once.
        for given in model.given[-1:]:
            assert given.id in {holder.id for holder in tx.assignments.of_code(given.code.code)}
        assert tx.keys.get("key-lost") is None


def _require_codes(tx: Transaction, list_id: str, model: Model, shown: Shown) -> None:
    known = model.lists[list_id]
    by_code = {id(given.code): given for given in model.given}
    given = {by_code[id(code)].id: by_code[id(code)] for code in known.codes if id(code) in by_code}
    found = tx.assignments.of_list(list_id, None, driver.ALL)
    assert sorted(each.id for each in found) == sorted(given), "an entry has two holders, or none"
    # In upload order, whoever got the codes when.
    first = [each.id for each in given.values() if not each.code.is_second]
    assert [each.id for each in found if each.id in first] == first
    for each in found:
        expected = given[each.id]
        assert (each.code, each.user_id) == (expected.code.code, expected.user_id)
        assert (each.campaign_id, each.ordinal) == (expected.campaign_id, expected.ordinal)
        assert (each.revoked_at is not None) == expected.revoked
        assert (each.redeemed_at is not None) == (expected.redemption is not None)
    left = driver.codes_of(tx.codes.remaining(list_id, None, driver.ALL))
    waiting = [code for code in known.those(AVAILABLE) if not code.lingers]
    # The codes of reservations that ran out come back now or later, and where among the others is open.
    coming = {code.code for code in known.those(AVAILABLE) if code.lingers}
    assert sorted(code for code in left if code not in coming) == sorted(code.code for code in waiting)
    returned = coming | {code.code for code in waiting if code.returned}
    fresh = [code.code for code in waiting if not code.returned]
    assert [code for code in left if code not in returned] == fresh, "codes are not left in upload order"
    assert len(set(left)) == len(left), "a code is in the list twice"
    try:
        days = tx.codes.given(list_id, None, None)
    except Unsupported:
        pass
    else:
        assert days == Counter(each.given_at.date() for each in given.values())
    if "redemptions" in shown.abilities:
        unused = tx.redemptions.unredeemed(None, list_id, model.now, None, driver.ALL)
        assert {each.id for each in unused} == {
            each.id for each in given.values() if not each.revoked and each.redemption is None
        }
    if "reservations" in shown.abilities:
        opened = tx.reservations.of_list(list_id, None, driver.ALL)
        assert {each.id for each in opened if each.at(model.now).state is ReservationState.OPEN} == {
            key for key, each in model.reservations.items() if each.is_open and each.code.list_id == list_id
        }


def _require_one_event_for_each_assignment(entries: list[OutboxEntry], model: Model) -> None:
    rewards: dict[tuple[str, str], list[OutboxEntry]] = {}
    for entry in entries:
        if isinstance(entry.event, VoucherRewarded):
            rewards.setdefault((entry.event.list_id, entry.event.voucher_code), []).append(entry)
    given: dict[tuple[str, str], list[Given]] = {}
    for each in model.given:
        given.setdefault((each.code.list_id, each.code.code), []).append(each)
    assert {key: len(found) for key, found in rewards.items()} == {
        key: len(found) for key, found in given.items()
    }, "not one event for each assignment"
    for key, found in rewards.items():
        for entry, assigned in zip(found, given[key], strict=True):
            assert isinstance(entry.event, VoucherRewarded)
            assert (entry.event.user_id, entry.event.campaign_id) == (assigned.user_id, assigned.campaign_id)
            assigned.event_id = entry.id


def _summary(entry: OutboxEntry) -> tuple[str | None, ...]:
    event = entry.event
    list_id = getattr(event, "list_id", None)
    if isinstance(event, VoucherRewarded):
        return event.event_name, list_id, event.voucher_code, event.user_id
    if isinstance(event, CodeEvent):
        return event.event_name, list_id, event.assignment_id
    if isinstance(event, StockEvent):
        assert event.available >= 0
    return event.event_name, list_id
