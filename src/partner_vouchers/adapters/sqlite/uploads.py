"""The upload log in SQLite, with the original files and the refused rows."""

from __future__ import annotations

from partner_vouchers.adapters.sqlite.driver import Database
from partner_vouchers.adapters.sqlite.lists import next_id, require_list
from partner_vouchers.domain.uploads import (
    RowFault,
    RowFaultKind,
    Upload,
)
from partner_vouchers.errors import UnknownUpload
from partner_vouchers.wire.columns import LAST_ID, to_number
from partner_vouchers.wire.rows import upload_from_row, upload_to_row

PIECE_BITS = 20
LINE_BITS = 32

_UPLOAD = """
    id, list_id, uploaded_by, filename, started_at, status, finished_at, size, sha256, encoding, header,
    header_skipped, total, accepted, errors, withdrawn, failure, first_row, warnings
"""
_VALUES = ", ".join("?" * 19)
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
            f"INSERT INTO pv_uploads ({_UPLOAD}) VALUES ({_VALUES})",
            upload_to_row(upload),
        )

    def save(self, upload: Upload) -> None:
        """See `ports.Uploads`."""
        self._require(upload.id)
        sql = f"UPDATE pv_uploads SET ({_UPLOAD}) = ({_VALUES}) WHERE id = ?"
        self._db.execute(sql, (*upload_to_row(upload), to_number(upload.id)))

    def get(self, upload_id: str) -> Upload | None:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE id = ? AND {_VISIBLE}"
        row = self._db.execute(sql, (to_number(upload_id),)).fetchone()
        return None if row is None else upload_from_row(row)

    def of_list(self, list_id: str, before: str | None, limit: int) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE list_id = ? AND id < ? AND {_VISIBLE} ORDER BY id DESC LIMIT ?"
        start = LAST_ID if before is None else to_number(before)
        return [upload_from_row(row) for row in self._db.execute(sql, (to_number(list_id), start, limit))]

    def running(self) -> list[Upload]:
        """See `ports.Uploads`."""
        sql = f"SELECT {_UPLOAD} FROM pv_uploads WHERE status = 'In Progress' AND {_VISIBLE} ORDER BY id"
        return [upload_from_row(row) for row in self._db.execute(sql)]

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        """See `ports.Uploads`."""
        sql = (
            f"SELECT {_UPLOAD} FROM pv_uploads WHERE list_id = ? AND sha256 = ? AND status = 'Completed' "
            f"AND {_VISIBLE} ORDER BY id DESC LIMIT 1"
        )
        row = self._db.execute(sql, (to_number(list_id), sha256)).fetchone()
        return None if row is None else upload_from_row(row)

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
