"""What the storage keeps: plain dicts and lists of frozen values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import count, islice
from operator import attrgetter

from partner_vouchers.domain.assignment import Assignment
from partner_vouchers.domain.campaigns import CampaignLink
from partner_vouchers.domain.delivery import Deferred, SinkProgress
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.partner import Partner
from partner_vouchers.domain.reconciliation import ReconciledRow, ReconciliationReport
from partner_vouchers.domain.redemption import Redemption
from partner_vouchers.domain.refusals import RefusalReason
from partner_vouchers.domain.reservation import Reservation
from partner_vouchers.domain.revocation import Revocation
from partner_vouchers.domain.uploads import RowFault, Upload
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import AuditEntry, OutboxEntry, TakenCode

_MAX_DIGITS = 18
"""More digits than any id will have, and few enough to convert at once."""


class Batch:
    """The codes that one upload brought into a list, in the order of its file.

    They are taken from the front, so a number says which are gone, and a flag withdraws the rest: neither costs more
    for more codes.

    Attributes:
        list_id: the list.
        codes: the codes.
        first_id: the number that is the id of the first code, from where the others count on.
        taken: how many codes, from the front, were taken.
        source: the batch in which the codes were uploaded: this one, unless it is the entry of a restocked code.
        retired: the places of codes that were used without having been taken, as the keys of a dict.
        withdrawn: whether the codes that are not taken were withdrawn.
        lost: the places of codes that were taken, came back, and are withdrawn, as the keys of a dict.
    """

    def __init__(
        self,
        list_id: str,
        codes: Sequence[str],
        first_id: int,
        *,
        taken: int = 0,
        source: Batch | None = None,
    ) -> None:
        self.list_id: str = list_id
        self.codes: Sequence[str] = codes
        self.first_id: int = first_id
        self.taken: int = taken
        self.source: Batch = source or self
        self.retired: dict[int, None] = {}
        self.withdrawn: bool = False
        self.lost: dict[int, None] = {}

    @property
    def available(self) -> Sequence[int]:
        """The places of the codes that can be taken."""
        left = range(self.taken, self.taken if self.withdrawn else len(self.codes))
        return [place for place in left if place not in self.retired] if self.retired else left

    def next_places(self, limit: int) -> Sequence[int]:
        """Return the places of the codes that are taken next."""
        if not self.retired:
            return self.available[:limit]
        end = self.taken if self.withdrawn else len(self.codes)
        return list(islice((place for place in range(self.taken, end) if place not in self.retired), limit))

    def holds(self, place: int) -> bool:
        """Tell whether the code at a place still stands for this batch."""
        if place in self.lost:
            return False
        return place < self.taken or not self.withdrawn or place in self.retired


Place = tuple[Batch, int]
"""Where a code stands: a batch, and the place in it."""


class Stock:
    """The codes of a list.

    Attributes:
        batches: in the order in which they were published.
        current: the index of the first batch that may have a code left; all before it are used up.
        returned: the codes that came back, by id.
        next_run_out: no open reservation of the list runs out before; None where none is open.
        given: how many codes were given on each UTC day.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.current = 0
        self.returned: dict[str, TakenCode] = {}
        self.next_run_out: datetime | None = None
        self.given: dict[date, int] = {}

    def batch_of(self, code_id: int) -> Batch:
        """Return the batch that brought a code."""
        return self.batches[bisect_right(self.batches, code_id, key=attrgetter("first_id")) - 1]


class Tables:
    """Everything that is stored.

    The numbers from which ids and positions are made are never set back, so that none is used twice.
    """

    def __init__(self) -> None:
        self.partners: dict[str, Partner] = {}  # By name
        # By id, with the counters, the notified level and the number of campaigns up to date.
        self.lists: dict[str, VoucherList] = {}
        self.ids_of_lists: dict[str, None] = {}  # The ids of all lists that ever were, as the keys of a dict
        # By list id, then campaign id, with a number that grows from link to link.
        self.links: dict[str, dict[str, tuple[int, CampaignLink]]] = {}
        # By campaign id, the ids of the linked lists, as the keys of a dict.
        self.lists_of_campaign: dict[str, dict[str, None]] = {}
        self.stocks: dict[str, Stock] = {}  # By list id
        # By scope, then code, where the code stands. An entry is never removed: whoever looks one up asks
        # `is_held`. So archiving, withdrawing and removing cost the same for any number of codes.
        self.owners: dict[str, dict[str, Place]] = {}
        self.assignments: dict[str, Assignment] = {}  # By id
        self.of_user: dict[str, list[str]] = {}  # By user, the ids of their assignments
        self.of_code: dict[str, list[str]] = {}  # By code, likewise, in all lists
        self.redemptions: dict[str, tuple[Redemption, ...]] = {}  # By assignment id, by number
        # By code, the list and the id of each entry that was used without having been given out.
        self.retired: dict[str, list[tuple[str, str]]] = {}
        self.reports: dict[str, ReconciliationReport] = {}  # By id
        self.report_rows: dict[str, list[ReconciledRow]] = {}  # By report id
        self.revocations: dict[str, Revocation] = {}  # By assignment id
        self.event_positions: dict[str, int] = {}  # By assignment id, the position of its event
        # By list id, the expiry for which it was notified that it is soon.
        self.notified_expiries: dict[str, datetime] = {}
        # By idempotency key, the fingerprint and the ids of the assignments.
        self.keys: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.reservations: dict[str, Reservation] = {}  # By id
        # By user, the ids of open reservations, as the keys of a dict.
        self.open_of_user: dict[str, dict[str, None]] = {}
        # By the id of a code, the id of its reservation, if that is open or confirmed.
        self.reserved_codes: dict[str, str] = {}
        self.limits: dict[str, tuple[Limit, ...]] = {}  # By campaign
        self.limit_counts: dict[str, dict[str, int]] = {}  # By campaign, then the key of a window
        # By campaign, then day, reason and list.
        self.refusals: dict[str, dict[tuple[date, RefusalReason, str], int]] = {}
        self.outbox: list[OutboxEntry] = []  # By growing position
        self.progress: dict[str, SinkProgress] = {}  # By sink
        self.deferred: dict[str, dict[int, Deferred]] = {}  # By sink, then position
        self.audit: list[AuditEntry] = []  # By growing position
        self.uploads: dict[str, Upload] = {}  # By id
        # The ids of all uploads that ever were, as the keys of a dict.
        self.ids_of_uploads: dict[str, None] = {}
        self.batches: dict[str, Batch] = {}  # By upload id
        self.pieces: dict[str, dict[int, bytes]] = {}  # By upload id, then index
        self.faults: dict[str, list[RowFault]] = {}  # By upload id, in the order of lines
        self.leases: dict[str, tuple[str, datetime]] = {}  # By name, who has it and until when
        self.settings: dict[str, str] = {}  # By name

        self.list_ids: count[int] = count(1)
        self.upload_ids: count[int] = count(1)
        self.report_ids: count[int] = count(1)
        self.link_numbers: count[int] = count(1)
        self.outbox_positions: count[int] = count(1)
        self.audit_positions: count[int] = count(1)
        self.next_code_id = 1

    def list(self, list_id: str) -> VoucherList:
        """Return a list that must be there.

        Raises:
            UnknownList: it is not, or was removed.
        """
        try:
            return self.lists[list_id]
        except KeyError:
            raise UnknownList(list_id=list_id) from None

    def reservation_of(self, code_id: str) -> Reservation | None:
        """Return the open or confirmed reservation of a code."""
        reservation_id = self.reserved_codes.get(code_id)
        return None if reservation_id is None else self.reservations[reservation_id]

    def open_reservations(self) -> Iterator[Reservation]:
        """Yield the open reservations of all users."""
        for ids in self.open_of_user.values():
            for reservation_id in ids:
                yield self.reservations[reservation_id]

    def counts_at(self, assignment: Assignment) -> datetime:
        """Return the instant at which an assignment counts in limits."""
        reservation = self.reservation_of(assignment.id)
        return assignment.assigned_at if reservation is None else reservation.reserved_at

    def is_held(self, batch: Batch, place: int, counts: Callable[[State], bool]) -> bool:
        """Tell whether a code still stands where an entry of `owners` says, in a list whose codes count."""
        voucher_list = self.lists.get(batch.list_id)
        return voucher_list is not None and batch.holds(place) and counts(voucher_list.state)


def number(given_id: str) -> int:
    """Return an id as the number that it is, to compare by age: as strings, "10" comes before "9".

    Returns:
        -1, which nothing has, for a text that is no id of this storage.
    """
    if given_id.isascii() and given_id.isdigit() and len(given_id) <= _MAX_DIGITS:
        return int(given_id)
    return -1
