from __future__ import annotations

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.events import CodeRevealed, CodesDownloaded
from tests.support.host import Host

CODE = "PM500FF-2026-XYZ"


@pytest.fixture
def vouchers(host: Host) -> PartnerVouchers:
    winter = host.a_list(CODE, "wrong code")
    host.give(winter.id, "user-1")
    return host.vouchers


def accesses(vouchers: PartnerVouchers) -> list[tuple[str, str | None, object]]:
    """Return who saw which whole codes, as the audit log keeps it."""
    return [
        (entry.event.event_name, entry.actor, entry.event.changes[0].after)
        for entry in vouchers.audit.entries(limit=1000)
        if isinstance(entry.event, CodeRevealed | CodesDownloaded)
    ]


def test_a_revealed_code_is_audited_by_its_assignment_and_never_by_its_user(
    vouchers: PartnerVouchers,
) -> None:
    (held,) = vouchers.codes.of_user("user-1")
    assert vouchers.codes.reveal(held.id, actor="asha").code == CODE
    assert accesses(vouchers) == [("code.revealed", "asha", held.id)]
    assert "user-1" not in repr(list(vouchers.audit.entries()))
    assert CODE not in repr(list(vouchers.audit.entries()))


def test_downloads_with_whole_codes_are_audited_when_a_person_is_named(vouchers: PartnerVouchers) -> None:
    (upload,) = vouchers.uploads.find()
    for stream in (
        vouchers.codes.export("1", actor="asha"),
        vouchers.codes.export("1", remaining=True, actor="asha"),
        vouchers.uploads.original_file(upload.id, actor="asha"),
        vouchers.uploads.error_file(upload.id, actor="asha"),
        vouchers.codes.export("1"),
        vouchers.uploads.original_file(upload.id),
        vouchers.uploads.error_file(upload.id),
    ):
        stream.close()
    assert sorted(accesses(vouchers)) == sorted(
        ("codes.downloaded", "asha", file)
        for file in (
            "distributed codes",
            "remaining codes",
            f"original file of upload {upload.id}",
            f"error file of upload {upload.id}",
        )
    )


def test_the_upload_log_is_found_by_list_and_status(host: Host, vouchers: PartnerVouchers) -> None:
    other = host.a_list()
    failed = vouchers.uploads.add(other.id, b"", filename="empty.csv", uploaded_by="ops")
    (completed,) = vouchers.uploads.find(status="Completed")
    assert list(vouchers.uploads.find()) == [failed, completed]
    assert list(vouchers.uploads.find(list_id=other.id)) == [failed]
    assert list(vouchers.uploads.find(list_id="1", status="Failed")) == []
    assert list(vouchers.uploads.find(status="In Progress")) == []
    first = vouchers.uploads.find(limit=1)
    assert list(vouchers.uploads.find(limit=1, after=first.next)) == [completed]
