"""What the public strategies draw is what they say."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers import CodeFormat, PartnerVouchers, PartnerVouchersError
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.partner import new_partner
from partner_vouchers.domain.text import require_text
from partner_vouchers.domain.voucher_list import new_tag
from partner_vouchers.testing import FixedClock, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.strategies import CodeFile, Operation


def a_library() -> tuple[PartnerVouchers, FixedClock]:
    clock = FixedClock()
    vouchers = PartnerVouchers(MemoryStorage(), clock=clock)
    vouchers.partners.add("Puma")
    return vouchers, clock


def a_list(vouchers: PartnerVouchers, tag: str = "winter") -> str:
    return vouchers.lists.create(partner="Puma", tag=tag, name="Winter Sale", expires_at=FAR).id


@given(file=strategies.csv_files())
def test_a_file_is_taken_as_the_strategy_says(file: CodeFile) -> None:
    vouchers, _ = a_library()
    list_id = a_list(vouchers)
    upload = vouchers.uploads.add(list_id, file.data, filename="codes.csv", uploaded_by="ops")
    with vouchers.codes.export(list_id, remaining=True, raw=True) as export:
        assert export.read().decode().split("\r\n")[1:-1] == list(file.accepted)
    assert upload.accepted == len(file.accepted)
    assert tuple(fault.kind for fault in vouchers.uploads.errors(upload.id)) == file.refused


@given(data=strategies.refused_csv_files())
def test_a_bad_file_is_refused_as_a_whole(data: bytes) -> None:
    vouchers, _ = a_library()
    upload = vouchers.uploads.add(a_list(vouchers), data, filename="codes.csv", uploaded_by="ops")
    assert upload.failure is not None
    assert upload.accepted == 0


@given(
    strategies.names(),
    strategies.tags(),
    strategies.descriptions(),
    strategies.codes(),
    strategies.instants(),
)
def test_texts_are_valid(name: str, tag: str, description: str, code: str, instant: object) -> None:
    assert new_partner(name, START).name == name
    assert new_tag(tag) == tag
    assert require_text("description", description) == description
    assert CodeFormat().fault(code) is None
    assert CodeFormat().trim(code) == code
    assert getattr(instant, "tzinfo", None) is START.tzinfo


@given(strategies.operations(), st.data())
def test_operations_can_be_played(operations: list[Operation], data: st.DataObject) -> None:
    vouchers, clock = a_library()
    lists = [a_list(vouchers)]
    uploads: list[str] = []
    for operation in operations:
        with suppress(PartnerVouchersError):
            play(vouchers, clock, operation, lists, uploads)
    for list_id in lists:
        view = vouchers.lists.get(list_id)
        assert view.uploaded == view.available + view.distributed + view.withdrawn
        assert len(list(vouchers.codes.assignments(list_id))) == view.distributed


def play(
    vouchers: PartnerVouchers, clock: FixedClock, does: Operation, lists: list[str], uploads: list[str]
) -> None:
    list_id = lists[does.place % len(lists)]
    match does.name:
        case "create":
            lists.append(a_list(vouchers, f"tag{does.place}"))
        case "upload":
            file = "".join(f"{code}\n" for code in does.file).encode()
            uploads.append(vouchers.uploads.add(list_id, file, filename="c.csv", uploaded_by="ops").id)
        case "withdraw":
            vouchers.uploads.withdraw(uploads[does.place] if does.place < len(uploads) else "999")
        case "link":
            vouchers.campaigns.link(list_id, "CMP1")
        case "assign":
            vouchers.codes.assign(list_id=list_id, user_id=does.user, idempotency_key=does.key)
        case "wait":
            clock.advance(days=does.place)
        case action:
            getattr(vouchers.lists, action)(list_id)
