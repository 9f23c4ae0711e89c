"""What must be so after anything: for each list, the counters, the codes, the assignments and the events agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from partner_vouchers import Assignment, PartnerVouchers, Reservation
from partner_vouchers.domain.events import (
    CodeRedeemed,
    CodeRedeemedUndistributed,
    CodeRedemptionReverted,
    CodeRevoked,
    Event,
)
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.stock import Counts
from partner_vouchers.ports import OutboxEntry, Storage
from partner_vouchers.testing.driver import outbox
from tests.support.host import a_file

FAR = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class ListState:
    """A list that was checked.

    Attributes:
        given: the assignments that users hold, in the order of the codes.
        left: the codes that can be given out, in that order.
        reserved: the open reservations.
        revoked: the assignments that were revoked, by their ids.
        restocked: the ids of those whose code returned to the list.
        redeemed: how often each assignment was redeemed, by its id.
        reverted: how often such a redemption was reverted.
        leaked: how many codes were retired since they were used before a user had them.
    """

    given: list[Assignment]
    left: list[str]
    reserved: list[Reservation] = field(default_factory=list)
    revoked: dict[str, Assignment] = field(default_factory=dict)
    restocked: set[str] = field(default_factory=set)
    redeemed: Counter[str] = field(default_factory=Counter)
    reverted: Counter[str] = field(default_factory=Counter)
    leaked: int = 0

    @property
    def codes(self) -> list[str]:
        """The codes that are held or can be given out, in order."""
        return [assignment.code for assignment in self.given] + self.left

    @property
    def known_codes(self) -> list[str]:
        """All codes, apart from the leaked ones."""
        retired = [each.code for id, each in self.revoked.items() if id not in self.restocked]
        return self.codes + [each.code for each in self.reserved] + retired


def checked(
    vouchers: PartnerVouchers, storage: Storage, list_id: str, entries: Sequence[OutboxEntry] | None = None
) -> ListState:
    """Check a list and return what it holds.

    Args:
        vouchers: the library.
        storage: its storage, in which nobody works.
        list_id: the list.
        entries: all entries of the outbox, where they were read before.
    """
    events = [entry.event for entry in outbox(storage)] if entries is None else [e.event for e in entries]
    assignments = list(vouchers.codes.assignments(list_id))
    with vouchers.codes.export(list_id, remaining=True) as file:
        left = file.read().decode().split("\r\n")[1:-1]
    revocations = [event for event in events if isinstance(event, CodeRevoked) and event.list_id == list_id]
    state = ListState(
        given=[each for each in assignments if each.revoked_at is None],
        left=left,
        reserved=vouchers.codes.reservations(list_id=list_id),
        revoked={each.id: each for each in assignments if each.revoked_at is not None},
        restocked={event.assignment_id or "" for event in revocations if event.restocked},
        redeemed=_counted(events, CodeRedeemed, list_id),
        reverted=_counted(events, CodeRedemptionReverted, list_id),
        leaked=_counted(events, CodeRedeemedUndistributed, list_id).total(),
    )
    counts = vouchers.lists.stock(list_id).counts
    retired = len(state.revoked) - len(state.restocked) + state.leaked
    found = Counts(
        uploaded=len(left) + len(state.reserved) + len(state.given) + counts.withdrawn + retired,
        distributed=len(state.given),
        reserved=len(state.reserved),
        withdrawn=counts.withdrawn,
        retired=retired,
    )
    assert counts == found, f"the counters say {counts}, and there are {found}"
    assert len({each.id for each in assignments}) == len(assignments), "a code was assigned twice"
    assert not repeated(state.known_codes), "a code is in a list twice"
    rewarded = Counter(
        (event.voucher_code, event.user_id, event.campaign_id)
        for event in events
        if isinstance(event, VoucherRewarded) and event.list_id == list_id
    )
    assert rewarded == Counter((each.code, each.user_id, each.campaign_id) for each in assignments), (
        "not one event for each assignment"
    )
    assert sorted(event.assignment_id or "" for event in revocations) == sorted(state.revoked), (
        "not one event for each revocation"
    )
    redeemed = Counter(each.id for each in assignments if each.redeemed_at is not None)
    assert state.redeemed - state.reverted == redeemed, "not one event for each redemption"
    return state


def _counted(events: Iterable[Event], kind: type, list_id: str) -> Counter[str]:
    """Return how many events of a kind a list has, by the assignment that they are about."""
    return Counter(
        getattr(event, "assignment_id", None) or ""
        for event in events
        if isinstance(event, kind) and getattr(event, "list_id", None) == list_id
    )


def rewards(storage: Storage) -> list[VoucherRewarded]:
    """Return the events of assignments."""
    entries = outbox(storage)
    assert not repeated([entry.id for entry in entries])
    return [entry.event for entry in entries if isinstance(entry.event, VoucherRewarded)]


def repeated(values: list[str]) -> list[str]:
    """Return the values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def codes_like(prefix: str, number: int) -> list[str]:
    """Return different codes, in order."""
    return [f"{prefix}-{index:06}" for index in range(number)]


def new_list(vouchers: PartnerVouchers, tag: str, codes: list[str], partner: str = "Puma") -> str:
    """Create a list with codes."""
    list_id = vouchers.lists.ensure(partner=partner, tag=tag, name=tag, expires_at=FAR).id
    if codes:
        upload = vouchers.uploads.add(list_id, a_file(*codes), filename="first.csv", uploaded_by="ops")
        assert upload.accepted == len(codes)
    return list_id
