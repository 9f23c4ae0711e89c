"""The upload log in PostgreSQL, with the original files and the refused rows."""

from __future__ import annotations

from partner_vouchers.adapters.postgres.driver import Session
from partner_vouchers.adapters.postgres.lists import next_id, require_list
from partner_vouchers.domain.uploads import (
    RowFault,
    RowFaultKind,
    Upload,
)
from partner_vouchers.errors import UnknownUpload
from partner_vouchers.wire.columns import (
    LAST_ID,
    to_list_number,
    to_number,
)
from partner_vouchers.wire.rows import upload_from_row, upload_to_row

_UPLOAD = """
    id, list_id, uploaded_by, filename, started_at, status, finished_at, size, sha256, encoding, header,
    header_skipped, total, accepted, errors, withdrawn, failure, first_row, warnings
"""
_VALUES = ", ".join(["%s"] * 19)
_VISIBLE = "NOT EXISTS (SELECT 1 FROM pv_lists AS l WHERE l.id = u.list_id AND l.removed > 0)"
_OF_VISIBLE = f"EXISTS (SELECT 1 FROM pv_uploads AS u WHERE u.id = upload_id AND {_VISIBLE})"
_SELECT = f"SELECT {_UPLOAD} FROM pv_uploads AS u WHERE {_VISIBLE}"


class PostgresUploads:
    """The upload log."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def new_id(self) -> str:
        """See `ports.Uploads`."""
        return next_id(self._db, "upload_ids")

    def add(self, upload: Upload) -> None:
        """See `ports.Uploads`."""
        require_list(self._db, upload.list_id)
        self._db.execute(f"INSERT INTO pv_uploads ({_UPLOAD}) VALUES ({_VALUES})", upload_to_row(upload))

    def save(self, upload: Upload) -> None:
        """See `ports.Uploads`."""
        self._require(upload.id)
        sql = f"UPDATE pv_uploads SET ({_UPLOAD}) = ROW ({_VALUES}) WHERE id = %s"
        self._db.execute(sql, (*upload_to_row(upload), to_number(upload.id)))

    def get(self, upload_id: str) -> Upload | None:
        """See `ports.Uploads`."""
        row = self._db.execute(f"{_SELECT} AND u.id = %s", (to_number(upload_id),)).fetchone()
        return None if row is None else upload_from_row(row)

    def of_list(self, list_id: str, before: str | None, limit: int) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"{_SELECT} AND u.list_id = %s AND u.id < %s ORDER BY u.id DESC LIMIT %s"
        start = LAST_ID if before is None else to_number(before)
        return [
            upload_from_row(row) for row in self._db.execute(sql, (to_list_number(list_id), start, limit))
        ]

    def running(self) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"{_SELECT} AND u.status = 'In Progress' ORDER BY u.id"
        return [upload_from_row(row) for row in self._db.execute(sql)]

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """See `ports.Uploads`."""
        sql = f"{_SELECT} AND u.list_id = %s AND u.sha256 = %s AND u.status = 'Completed' ORDER BY u.id DESC LIMIT 1"
        row = self._db.execute(sql, (to_list_number(list_id), sha256)).fetchone()
        return None if row is None else upload_from_row(row)

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        """See `ports.Uploads`."""
        sql = "INSERT INTO pv_upload_pieces (upload_id, index, data) VALUES (%s, %s, %s)"
        self._db.execute(sql, (self._require(upload_id), index, data))

    def piece(self, upload_id: str, index: int) -> bytes | None:
        """See `ports.Uploads`."""
        sql = f"SELECT data FROM pv_upload_pieces WHERE upload_id = %s AND index = %s AND {_OF_VISIBLE}"
        row = self._db.execute(sql, (to_number(upload_id), index)).fetchone()
        return None if row is None else bytes(row[0])

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        """See `ports.Uploads`."""
        rows = self._db.execute(
            "SELECT line, raw, kind, message FROM pv_upload_faults WHERE upload_id = %s AND line > %s "
            f"AND {_OF_VISIBLE} ORDER BY line LIMIT %s",
            (to_number(upload_id), after_line, limit),
        )
        return [
            RowFault(line, raw_text(raw), RowFaultKind(kind), message) for line, raw, kind, message in rows
        ]

    def _require(self, upload_id: str) -> int:
        number = to_number(upload_id)
        if self._db.execute(f"{_SELECT} AND u.id = %s", (number,)).fetchone() is None:
            raise UnknownUpload(upload_id=upload_id)
        return number


def raw_bytes(text: str) -> bytes:
    """Return a refused row as it is stored: also one that no text of the server may hold."""
    return text.encode("utf-8", "surrogatepass")


def raw_text(data: bytes) -> str:
    """Return the text of `raw_bytes`."""
    return bytes(data).decode("utf-8", "surrogatepass")
