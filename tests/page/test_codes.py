"""Whole codes are shown on request only, and the audit log says who saw them."""

from __future__ import annotations

import pytest

from partner_vouchers import PartnerVouchers
from tests.support.page import Visitor

SECRET = "PM500-SECRET"
ASHA = "asha@example.com"


def audited(vouchers: PartnerVouchers) -> list[tuple[str | None, str]]:
    entries = vouchers.audit.entries(limit=1000).items
    return [(entry.actor, entry.event.event_name) for entry in entries if entry.actor == ASHA]


def test_no_page_shows_a_whole_code(visitor: Visitor) -> None:
    pages = [
        visitor.text(path)
        for path in (
            "/",
            "/lists/1",
            "/lists/1/uploads",
            "/uploads/1",
            "/lists/1/codes",
            "/lists/1/audit",
            "/user?user=user-1",
            "/delivery",
            "/template",
        )
    ]
    pages.append(visitor.post("/user", {"code": f"{SECRET}-AA"}).text)

    assert "user-1" in pages[-1]
    for page in pages:
        assert SECRET not in page


def test_a_code_is_revealed_on_request_and_the_audit_log_has_it(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    (given,) = vouchers.codes.of_user("user-1")

    page = visitor.post(f"/assignments/{given.id}/reveal").text

    assert f"{SECRET}-AA" in page
    assert f"{SECRET}-BB" not in page
    assert len(audited(vouchers)) == 1
    assert SECRET not in str(vouchers.audit.entries().items)


@pytest.mark.parametrize(
    "path, fields, holds",
    [
        ("/uploads/1/original", {}, f"{SECRET}-BB"),
        ("/uploads/1/errors", {}, "bad code"),
        ("/lists/1/codes/export", {"what": "distributed"}, f"{SECRET}-AA"),
        ("/lists/1/codes/export", {"what": "remaining"}, f"{SECRET}-BB"),
    ],
)
def test_a_download_with_whole_codes_is_audited(
    visitor: Visitor, vouchers: PartnerVouchers, path: str, fields: dict[str, str], holds: str
) -> None:
    answer = visitor.post(path, fields)

    assert holds in answer.text
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(audited(vouchers)) == 1


def test_the_original_file_comes_back_byte_for_byte(visitor: Visitor) -> None:
    content = "\ufeffcode\r\nÄ-1\r\n\r\n".encode()
    visitor.upload("/lists/1/uploads", content)

    assert visitor.post("/uploads/2/original").content == content


def test_a_code_that_nobody_holds_is_said_to_be_so(visitor: Visitor) -> None:
    assert "No user holds this code" in visitor.post("/user", {"code": "OTHER"}).text
    assert "This user has no voucher" in visitor.text("/user?user=other")
