"""Every described file is uploaded, and validated before, with the result that its description gives.

`tests/csvfile/cases/files.toml` explains its keys.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from partner_vouchers import RowFaultKind
from tests.support.host import Host

FILES = Path(__file__).parents[1] / "csvfile" / "cases"
CASES = {case["file"]: case for case in tomllib.loads((FILES / "files.toml").read_text("utf-8"))["case"]}


def test_every_file_is_described() -> None:
    assert {path.name for path in FILES.glob("*.csv")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_file_has_its_result(host: Host, name: str) -> None:
    case = CASES[name]
    options: dict[str, Any] = {key: case[key] for key in ("encoding", "header") if key in case}
    found, uploads = host.a_list(), host.vouchers.uploads
    checked = uploads.validate(found.id, FILES / name, **options)
    upload = uploads.add(found.id, FILES / name, uploaded_by="ops", **options)

    assert upload.status.value == case["status"], upload.failure
    assert host.left(found.id) == case["accepted"]
    refused = uploads.errors(upload.id, limit=1000)
    may_be_empty = case.get("may_be_empty", [])
    assert [
        {"line": fault.line, "error": fault.kind.value}
        for fault in refused
        if not (fault.kind is RowFaultKind.EMPTY and fault.line in may_be_empty)
    ] == case["refused"]
    assert upload.header_skipped == case.get("header_skipped", upload.header_skipped)
    if "warnings" in case:
        assert sum(upload.warnings.values()) == case["warnings"]
    if "message_mentions" in case:
        messages = [fault.message for fault in refused] + [upload.failure.message if upload.failure else ""]
        assert case["message_mentions"] in " ".join(messages)

    assert (checked.total, checked.acceptable, checked.errors) == (
        upload.total,
        upload.accepted,
        upload.errors,
    )
    assert (checked.failure, checked.first_row) == (upload.failure, upload.first_row)
    assert (checked.header_skipped, list(checked.sample)) == (upload.header_skipped, refused)
    assert {kind: listed.count for kind, listed in checked.warnings.items()} == upload.warnings
    assert uploads.get(upload.id) == upload
