"""What must be so after anything: for each list, the counters, the codes, the assignments and the events agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from partner_vouchers import Assignment, PartnerVouchers
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.ports import Storage
from partner_vouchers.testing.driver import outbox

FAR = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class ListState:
    """A list that was checked.

    Attributes:
        given: its assignments, in the order of the codes.
        left: the codes that can be given out, in that order.
    """

    given: list[Assignment]
    left: list[str]

    @property
    def codes(self) -> list[str]:
        return [assignment.code for assignment in self.given] + self.left


def checked(vouchers: PartnerVouchers, storage: Storage, list_id: str) -> ListState:
    """Check a list and return what it holds."""
    given = list(vouchers.codes.assignments(list_id))
    with vouchers.codes.export(list_id, remaining=True) as file:
        left = file.read().decode().split("\r\n")[1:-1]
    view = vouchers.lists.get(list_id)
    assert view.uploaded == view.available + view.reserved + view.distributed + view.withdrawn
    assert (view.distributed, view.available) == (len(given), len(left))
    assert len({assignment.id for assignment in given}) == len(given), "a code was assigned twice"
    assert not repeated([assignment.code for assignment in given] + left), "a code stands twice in a list"
    rewarded = Counter(
        (event.voucher_code, event.user_id, event.campaign_id)
        for event in rewards(storage)
        if event.list_id == list_id
    )
    assert rewarded == Counter((each.code, each.user_id, each.campaign_id) for each in given), (
        "not one event each"
    )
    return ListState(given, left)


def rewards(storage: Storage) -> list[VoucherRewarded]:
    """Return the events of assignments."""
    entries = outbox(storage)
    assert not repeated([entry.id for entry in entries])
    return [entry.event for entry in entries if isinstance(entry.event, VoucherRewarded)]


def repeated(values: list[str]) -> list[str]:
    """Return the values that stand there more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def codes_like(prefix: str, number: int) -> list[str]:
    """Return different codes, in order."""
    return [f"{prefix}-{index:06}" for index in range(number)]


def csv_file(codes: list[str]) -> bytes:
    """Return a file with one code in each row."""
    return "".join(f"{code}\n" for code in codes).encode()


def new_list(vouchers: PartnerVouchers, tag: str, codes: list[str], partner: str = "Puma") -> str:
    """Create a list with codes."""
    if all(known.name != partner for known in vouchers.partners.all()):
        vouchers.partners.add(partner)
    list_id = vouchers.lists.create(partner=partner, tag=tag, name=tag, expires_at=FAR).id
    if codes:
        upload = vouchers.uploads.add(list_id, csv_file(codes), filename="first.csv", uploaded_by="ops")
        assert upload.accepted == len(codes)
    return list_id
