"""The upload log, with the original files and the refused rows."""

from __future__ import annotations

from partner_vouchers.adapters.sql.columns import LAST_ID, to_list_number, to_number
from partner_vouchers.adapters.sql.lists import require_list
from partner_vouchers.adapters.sql.rows import UPLOADS, raw_text
from partner_vouchers.adapters.sql.session import Repository, Value
from partner_vouchers.domain.uploads import RowFault, RowFaultKind, Upload, UploadStatus
from partner_vouchers.errors import UnknownUpload


class SqlUploads(Repository):
    def new_id(self) -> str:
        return str(self._db.fetch("next_upload_id")[0][0])

    def add(self, upload: Upload) -> None:
        require_list(self._db, upload.list_id)
        self._db.change("add_upload", *UPLOADS.row(upload))

    def save(self, upload: Upload) -> None:
        number, _, *values = UPLOADS.row(upload)
        self._require(upload.id)
        self._db.change("save_upload", *values, number)

    def get(self, upload_id: str) -> Upload | None:
        found = self._all("upload_by_id", to_number(upload_id))
        return found[0] if found else None

    def find(
        self, list_id: str | None, status: UploadStatus | None, before: str | None, limit: int
    ) -> list[Upload]:
        conditions = "u.id < ?"
        parameters = list[Value]([LAST_ID if before is None else to_number(before)])
        if list_id is not None:
            conditions += " AND u.list_id = ?"
            parameters.append(to_list_number(list_id))
        if status is not None:
            # The index of running uploads is found by their status as it is written here.
            conditions += f" AND u.status = '{status.value}'"
        sql = f"{self._db.statements['upload_rows']} AND {conditions} ORDER BY u.id DESC LIMIT ?"
        return self._all(sql, *parameters, limit)

    def running(self) -> list[Upload]:
        return self._all("running_uploads")

    def completed_with(self, list_id: str, sha256: str) -> Upload | None:
        found = self._all("completed_upload_of_file", to_list_number(list_id), sha256)
        return found[0] if found else None

    def add_piece(self, upload_id: str, index: int, data: bytes) -> None:
        self._db.change("add_piece", self._require(upload_id), index, data)

    def piece(self, upload_id: str, index: int) -> bytes | None:
        number = to_number(upload_id)
        rows = self._db.fetch("piece", number, index, number)
        return bytes(rows[0][0]) if rows else None

    def faults(self, upload_id: str, after_line: int, limit: int) -> list[RowFault]:
        number = to_number(upload_id)
        rows = self._db.fetch("faults", number, after_line, number, limit)
        return [
            RowFault(line, raw_text(raw), RowFaultKind(kind), message) for line, raw, kind, message in rows
        ]

    def _all(self, statement: str, *parameters: Value) -> list[Upload]:
        return [UPLOADS.entity(row) for row in self._db.fetch(statement, *parameters)]

    def _require(self, upload_id: str) -> int:
        number = to_number(upload_id)
        if not self._db.fetch("upload_by_id", number):
            raise UnknownUpload(upload_id=upload_id)
        return number
