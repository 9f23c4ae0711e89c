"""The upload log in SQLite, with the original files and the refused rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.lists import next_id, require_list
from partner_vouchers.adapters.sqlite.rows import LAST_ID, from_instant, to_instant, to_number
from partner_vouchers.domain.uploads import (
    FileFault,
    FileFaultKind,
    RowFault,
    RowFaultKind,
    Upload,
    UploadStatus,
)
from partner_vouchers.errors import UnknownUpload

PIECE_BITS = 20
LINE_BITS = 32

_UPLOAD = """
    id, list_id, uploaded_by, filename, started_at, status, finished_at, size, sha256, encoding, header,
    header_skipped, total, accepted, errors, withdrawn, failure
"""
_VISIBLE = "NOT EXISTS (SELECT 1 FROM pv_lists AS l WHERE l.id = pv_uploads.list_id AND l.removed > 0)"

_OF_VISIBLE = f"EXISTS (SELECT 1 FROM pv_uploads WHERE id = ? AND {_VISIBLE})"


class SQLiteUploads:
    """The upload log."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def new_id(self) -> str:
        """See `ports.Uploads`."""
        return next_id(self._db, "upload")

    def add(self, upload: Upload) -> None:
        """See `ports.Uploads`."""
        require_list(self._db, upload.list_id)
        self._db.execute(
            f"INSERT INTO pv_uploads ({_UPLOAD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _row(upload),
        )

    def save(self, upload: Upload) -> None:
        """See `ports.Uploads`."""
        self._require(upload.id)
        self._db.execute(
            """
            UPDATE pv_uploads
            SET (id, list_id, uploaded_by, filename, started_at, status, finished_at, size, sha256, encoding, header,
                 header_skipped, total, accepted, errors, withdrawn, failure)
                = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            WHERE id = ?
            """,
            (*_row(upload), to_number(upload.id)),
        )

    def get(self, upload_id: str) -> Upload | None:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE id = ? AND {_VISIBLE}"
        row = self._db.execute(sql, (to_number(upload_id),)).fetchone()
        return None if row is None else _upload(row)

    def of_list(self, list_id: str, before: str | None, limit: int) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE list_id = ? AND id < ? AND {_VISIBLE} ORDER BY id DESC LIMIT ?"
        start = LAST_ID if before is None else to_number(before)
        return [_upload(row) for row in self._db.execute(sql, (to_number(list_id), start, limit))]

    def running(self) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE status = 'In Progress' AND {_VISIBLE} ORDER BY id"
        return [_upload(row) for row in self._db.execute(sql)]

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """See `ports.Uploads`."""
        sql = (
            f"SELECT {_UPLOAD} FROM pv_uploads WHERE list_id = ? AND sha256 = ? AND status = 'Completed' "
            f"AND {_VISIBLE} ORDER BY id DESC LIMIT 1"
        )
        row = self._db.execute(sql, (to_number(list_id), sha256)).fetchone()
        return None if row is None else _upload(row)

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """See `ports.Uploads`."""
        sql = "INSERT INTO pv_upload_pieces (id, data) VALUES (?, ?)"
        self._db.execute(sql, ((self._require(upload_id) << PIECE_BITS) + index, data))

    def piece(self, upload_id: str, index: int) -> bytes | None:
        """See `ports.Uploads`."""
        sql = f"SELECT data FROM pv_upload_pieces WHERE id = ? AND {_OF_VISIBLE}"
        number = to_number(upload_id)
        row = self._db.execute(sql, ((number << PIECE_BITS) + index, number)).fetchone()
        return None if row is None else bytes(row[0])

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        """See `ports.Uploads`."""
        number = to_number(upload_id)
        start = number << LINE_BITS
        rows = self._db.execute(
            "SELECT id, raw, kind, message FROM pv_upload_faults "
            f"WHERE id > ? AND id < ? AND {_OF_VISIBLE} ORDER BY id LIMIT ?",
            (start + after_line, start + (1 << LINE_BITS), number, limit),
        )
        return [RowFault(key - start, raw, RowFaultKind(kind), message) for key, raw, kind, message in rows]

    def _require(self, upload_id: str) -> int:
        number = to_number(upload_id)
        sql = f"SELECT 1 FROM pv_uploads WHERE id = ? AND {_VISIBLE}"
        if self._db.execute(sql, (number,)).fetchone() is None:
            raise UnknownUpload(upload_id=upload_id)
        return number


def _row(upload: Upload) -> tuple[Any, ...]:
    failure = upload.failure
    return (
        to_number(upload.id),
        to_number(upload.list_id),
        upload.uploaded_by,
        upload.filename,
        from_instant(upload.started_at),
        upload.status.value,
        None if upload.finished_at is None else from_instant(upload.finished_at),
        upload.size,
        upload.sha256,
        upload.encoding,
        upload.header,
        upload.header_skipped,
        upload.total,
        upload.accepted,
        json.dumps({kind.value: count for kind, count in upload.errors.items()}),
        upload.withdrawn,
        None if failure is None else json.dumps([failure.kind.value, failure.message, failure.line]),
    )


def _upload(row: tuple[Any, ...]) -> Upload:
    return Upload(
        id=str(row[0]),
        list_id=str(row[1]),
        uploaded_by=row[2],
        filename=row[3],
        started_at=to_instant(row[4]),
        status=UploadStatus(row[5]),
        finished_at=_instant_or_none(row[6]),
        size=row[7],
        sha256=row[8],
        encoding=row[9],
        header=None if row[10] is None else bool(row[10]),
        header_skipped=bool(row[11]),
        total=row[12],
        accepted=row[13],
        errors={RowFaultKind(kind): count for kind, count in json.loads(row[14]).items()},
        withdrawn=row[15],
        failure=_failure_or_none(row[16]),
    )


def _instant_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else to_instant(microseconds)


def _failure_or_none(text: str | None) -> FileFault | None:
    if text is None:
        return None
    kind, message, line = json.loads(text)
    return FileFault(FileFaultKind(kind), message, line)
