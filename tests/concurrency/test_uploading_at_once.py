"""Many upload at once, and others ask for codes meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Storage
from tests.concurrency import work
from tests.concurrency.state import checked, codes_like, new_list
from tests.concurrency.teams import Process, in_processes
from tests.support.host import a_file
from tests.support.places import Place, SharedStorage


def test_a_list_that_is_deleted_during_an_upload_keeps_nobody_waiting(storage: Storage) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    vouchers = PartnerVouchers(storage, duplicates=PerPartner(), clock=lambda: now)
    list_id = new_list(vouchers, "sale", [])
    other = new_list(vouchers, "vip", [])
    codes = codes_like("PM", 10)
    with pytest.raises(UnknownList):
        vouchers.uploads.add(
            list_id,
            a_file(*codes),
            filename="a.csv",
            uploaded_by="ops",
            progress=lambda _: vouchers.lists.delete(list_id),
        )
    with storage.begin() as tx:
        # Their scope is the same. A lease that was left there would keep the next upload waiting until it ends.
        assert tx.leases.take("upload scope Puma", "somebody else", now, now)
    assert vouchers.uploads.add(other, a_file(*codes), filename="a.csv", uploaded_by="ops").accepted == 10
    assert checked(vouchers, storage, other).left == codes


def test_processes_that_upload_the_same_codes_bring_each_code_once(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    """Three upload to one list, and to a list of their own in the same scope."""
    codes, names = codes_like("PM", 2000), "ABC"
    lists = {name: new_list(shared, name, []) for name in ("all", *names)}

    def calls(name: str) -> list[work.Call]:
        # Each file has a code of its own too, so that each upload completes.
        return [
            (
                "uploads",
                "add",
                {
                    "list_id": lists[target],
                    "source": a_file(*codes, f"{name}{number}"),
                    "filename": "a.csv",
                    "uploaded_by": name,
                },
            )
            for number, target in enumerate(("all", name, "all"))
        ]

    of_each = in_processes(work.call, [(place, calls(name)) for name in names])
    done = [answer for answers in of_each for answer in answers if answer != "upload_running"]
    assert all(upload.accepted + upload.error_count == len(codes) + 1 for upload in done)
    left = [code for each in lists.values() for code in checked(shared, shared_storage, each).left]
    assert len(left) == len(set(left)) == sum(upload.accepted for upload in done)
    assert len(left) == len(codes) + len(done)


def test_codes_go_out_while_another_process_uploads_and_its_codes_come_all_at_once(
    shared: PartnerVouchers, shared_storage: SharedStorage, place: Place
) -> None:
    before, new = codes_like("OLD", 4000), codes_like("NEW", 40_000)
    list_id = new_list(shared, "sale", before)
    other = new_list(shared, "vip", codes_like("VIP", 4000))
    stops = ["reading", "claimed"]
    uploader = Process(work.upload_with_stops, place, list_id, a_file(*new), stops)
    asked = 0

    def assign_some(number: int) -> None:
        nonlocal asked
        for _ in range(number):
            # The list itself, and one that has nothing to do with the upload.
            shared.codes.assign(list_id=(list_id, other)[asked % 2], user_id=f"user-{asked}")
            asked += 1
        assert shared.lists.get(list_id).uploaded in (len(before), len(before) + len(new))

    for stop in stops:
        while not uploader.has_spoken() and asked < 3900:
            assign_some(2)
        assert uploader.hear() == stop
        # Here the upload stands still in the middle.
        assign_some(50)
        assert shared.lists.get(list_id).uploaded == len(before)
        uploader.say("go on")
    while not uploader.has_spoken() and asked < 7900:
        assign_some(2)
    assert uploader.hear()[:2] == (len(new), 0)
    uploader.end()
    assert shared.lists.get(list_id).uploaded == len(before) + len(new)
    assert checked(shared, shared_storage, list_id).codes == before + new
    assert len(checked(shared, shared_storage, list_id).given) == asked - asked // 2
