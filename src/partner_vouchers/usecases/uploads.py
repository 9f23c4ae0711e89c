"""Uploads: bring codes into a list, and look up what became of a file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from attrs import evolve

from partner_vouchers.csvfile.error_file import error_file
from partner_vouchers.csvfile.reader import is_error_file, require_encoding
from partner_vouchers.csvfile.streams import (
    CodeSource,
    OpenSource,
    as_binary_stream,
    open_source,
    source_filename,
)
from partner_vouchers.domain.arguments import require_bool, require_callable, require_member
from partner_vouchers.domain.duplicates import DuplicateExplanation, Holder, counts_for_duplicates, refusal
from partner_vouchers.domain.lifecycle import Action
from partner_vouchers.domain.text import could_be_id, require_id, require_name, require_text
from partner_vouchers.domain.uploads import (
    FileFault,
    RowFault,
    Upload,
    UploadStatus,
    Validation,
    check_filename,
    interrupted,
    no_room,
    require_header,
    size_limit,
    too_large,
)
from partner_vouchers.domain.voucher_list import VoucherList
from partner_vouchers.errors import (
    OriginalNotKept,
    StorageError,
    StorageUnavailable,
    UnknownUpload,
    UploadInterrupted,
    UploadRunning,
)
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.importing import ImportRun, OnProgress, keep_original
from partner_vouchers.usecases.limiting import return_run_out, return_what_uploads_see
from partner_vouchers.usecases.paging import Page, decode_cursor, page_of, require_limit, require_line
from partner_vouchers.usecases.stock import counts_at, notify_stock_level
from partner_vouchers.usecases.upload_entries import UploadEntries, is_full, require_new_file
from partner_vouchers.usecases.wiring import (
    PAGE,
    Group,
    Wiring,
    audit_download,
    reclaim_some,
    record,
    require_actor,
    require_list,
)

_LOG = logging.getLogger("partner_vouchers.uploads")

_NO_PART = (
    "an upload cannot be part of a host's transaction, because it works in many short ones; "
    "call it on the PartnerVouchers object itself, not on using(connection)"
)


class UploadsGroup(Group):
    """The uploads of code files; reached as `vouchers.uploads`."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._entries = UploadEntries(wiring)

    def add(
        self,
        list_id: str,
        source: CodeSource,
        *,
        uploaded_by: str,
        filename: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        progress: OnProgress | None = None,
        force: bool = False,
    ) -> Upload:
        """Upload a CSV file with one code in each row.

        Errors of the file or its rows are data in the returned entry, never an exception. The valid codes become
        available all at once when the upload completes; while it runs, codes are assigned as before.

        Args:
            list_id: the list that the codes are for.
            source: a path, the bytes, or a binary stream.
            uploaded_by: an email address or another id of the person who uploads.
            filename: the name of the file, which must end in `.csv`; that of the path or stream by default.
            header: True: the first row is a header; False: it is a code; None: it is a header where it is a known
                name such as `code` or `voucher_code`.
            encoding: the encoding of the file, as Python names it.
            progress: called now and then with rows and bytes read; what it raises ends the upload.
            force: upload a file again that was uploaded completely to the same list; not needed where that
                upload was withdrawn.

        Returns:
            the entry of the upload log, Completed or Failed.

        Raises:
            UnknownList: there is no such list.
            ActionNotAllowed: the list is Expired or Archived.
            UploadRunning: another upload to the list is running.
            FileAlreadyUploaded: the same bytes were uploaded to the list before.
            SourceUnreadable: the file cannot be read.
            InvalidInput: another argument breaks its rule.
            UploadInterrupted: this process was silent for so long that another one took the upload over.
            HostTransactionError: the call is made within a host's transaction.

        Example:
            >>> upload = vouchers.uploads.add(winter.id, b"PM500FF\\nPM500FG\\n\\nPM500FF\\n",
            ...     filename="codes.csv", uploaded_by="ops@example.com")
            >>> str(upload.status), upload.accepted, upload.total, upload.error_count
            ('Completed', 2, 4, 2)
        """
        uploaded_by = require_name("uploaded_by", uploaded_by)
        draft = self._draft(list_id, source, uploaded_by, filename, header, encoding, progress, force)
        # The list's own faults come first: a large file is not read in vain.
        self._require_uploadable(list_id)
        reclaim_some(self._wiring)
        with open_source(source, draft.filename, _limit_of(draft)) as opened:
            begun = self._entries.enter(draft, opened, force=force)
            upload, lease = begun.upload, begun.lease
            run = ImportRun(self._wiring, upload, begun.scope, progress)
            try:
                refused = _unread_fault(begun.is_full, opened)
                if refused is None:
                    kept = keep_original(self._wiring, upload, opened, lease)
                    run = evolve(run, upload=kept)
                    refused = check_filename(draft.filename)
                if refused is not None:
                    return run.fail(refused, lease)
                return run.run(self._entries.original(upload.id), lease)
            except UploadInterrupted:
                # Of its leases it may have lost but one.
                with suppress(StorageError):
                    lease.give_back()
                raise
            except BaseException:
                # An upload that its caller broke off must not wait for a recovery. Where even this
                # fails, the entry stays In Progress and `recover` settles it, without waiting for the lease.
                with suppress(Exception):
                    try:
                        run.fail(interrupted("the upload was stopped"), lease)
                    except Exception:
                        lease.give_back()
                        raise
                    run.clear_away()
                raise

    def validate(
        self,
        list_id: str,
        source: CodeSource,
        *,
        filename: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        progress: OnProgress | None = None,
        force: bool = False,
    ) -> Validation:
        """Check a file as `add` would, without storing anything.

        Returns:
            what `add` would do with it now, with the first thousand refused rows.

        It raises the same errors as `add`, except that other uploads may run.
        """
        draft = self._draft(list_id, source, "", filename, header, encoding, progress, force)
        voucher_list = self._require_uploadable(list_id)
        with open_source(source, draft.filename, _limit_of(draft), keeps_position=True) as opened:
            refused = _unread_fault(is_full(voucher_list), opened) or check_filename(draft.filename)
            if refused is not None:
                return Validation(filename=draft.filename, failure=refused)
            self._wiring.read(require_new_file, list_id, opened.sha256, force)
            trial = evolve(draft, size=opened.size)
            return ImportRun(self._wiring, trial, voucher_list.scope, progress).check(opened.stream)

    def get(self, upload_id: str) -> Upload:
        """Return an entry of the upload log.

        Raises:
            UnknownUpload: there is none with this id.
        """
        return self._wiring.read(_require_upload, upload_id)

    def find(
        self,
        *,
        list_id: str | None = None,
        status: UploadStatus | str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Upload]:
        """Return a page of the upload log, the newest first.

        Args:
            list_id: only uploads to this list; None for all lists.
            status: only uploads with this status, such as `"In Progress"`; None for any.
            after: the `next` of the page before.
            limit: how many entries, from 1 to 1000.

        Raises:
            UnknownList: there is no such list.
            InvalidInput: `limit` is out of range, or there is no such status.
            InvalidCursor: `after` is no cursor of this log.

        Example:
            >>> vouchers.uploads.find(status="Failed").items
            ()
        """
        limit = require_limit(limit)
        place = decode_cursor("the upload log", after, int)
        before = None if place is None else str(place[0])
        wanted = None if status is None else require_member("status", status, UploadStatus)

        def read(tx: Transaction) -> list[Upload]:
            found = None if list_id is None else require_list(tx, list_id).id
            return tx.uploads.find(found, wanted, before, limit + 1)

        found = self._wiring.read(read)
        return page_of("the upload log", found, limit, lambda upload: (int(upload.id),))

    def errors(self, upload_id: str, *, after_line: int = 0, limit: int = 100) -> list[RowFault]:
        """Return refused rows in the order of their lines, from the line after `after_line` on, which is 0 or more.

        Of an upload with very many, the first million (`domain.uploads.MAX_KEPT_FAULTS`) are kept.

        Raises:
            UnknownUpload: there is no such upload.
            InvalidInput: `limit` is not from 1 to 1000, or `after_line` is no number of a line.
        """
        limit = require_limit(limit)
        after_line = require_line(after_line)

        def read(tx: Transaction) -> list[RowFault]:
            _require_upload(tx, upload_id)
            return tx.uploads.faults(upload_id, after_line, limit)

        return self._wiring.read(read)

    def original_file(self, upload_id: str, *, actor: str | None = None) -> BinaryIO:
        """Return the file that was uploaded, byte for byte.

        Args:
            upload_id: the upload.
            actor: the person who downloads it, for the audit log.

        Returns:
            a stream to read from; it reads the storage in pieces.

        Raises:
            UnknownUpload: there is no such upload.
            OriginalNotKept: the file was larger than the limit, or the upload broke off while it was read.
        """
        upload = self.get(upload_id)
        if upload.sha256 is None:
            raise OriginalNotKept(upload_id=upload_id)
        audit_download(self._wiring, upload.list_id, f"original file of upload {upload.id}", actor)
        return self._entries.original(upload_id)

    def error_file(self, upload_id: str, *, raw: bool = False, actor: str | None = None) -> BinaryIO:
        """Return the refused rows as a CSV file: line, code, error code, message.

        The codes can be corrected in this file and the file uploaded again as it is.

        Args:
            upload_id: the upload.
            raw: True writes cells unchanged, also those that a spreadsheet would run as a formula.
            actor: the person who downloads it, for the audit log.

        Returns:
            a stream to read from; it reads the storage in pieces.

        Raises:
            UnknownUpload: there is no such upload.
        """
        require_bool("raw", raw)
        upload = self.get(upload_id)
        audit_download(self._wiring, upload.list_id, f"error file of upload {upload.id}", actor)

        def read(tx: Transaction, after_line: int | None) -> list[RowFault]:
            return tx.uploads.faults(upload_id, after_line or 0, PAGE)

        return as_binary_stream(error_file(self._stream(read, lambda fault: fault.line), raw=raw))

    def recover(self) -> list[Upload]:
        """Finish or fail the uploads whose process was killed. Call it when a backend starts, or at any time.

        An upload whose file had been stored whole is finished; the others are marked Failed. Uploads that still
        run, here or elsewhere, are left alone. An upload for which the storage fails stays In Progress, keeps no other
        from being finished, and is logged as a warning; the next call tries it again.

        Returns:
            the uploads that were finished or failed.

        Raises:
            StorageUnavailable: the storage could not be reached for one of them.
            HostTransactionError: the call is made within a host's transaction.
        """
        self._wiring.require_own_transactions(_NO_PART)
        running = self._wiring.read(lambda tx: tx.uploads.running())
        ended: list[Upload] = []
        unavailable: StorageUnavailable | None = None
        for upload in running:
            try:
                return_what_uploads_see(self._wiring)
                found = self._entries.settle(upload.id)
            except StorageError as error:
                # One entry must not keep the others, and the start of a backend, waiting.
                _LOG.warning("upload %s is still In Progress, call recover() again: %s", upload.id, error)
                unavailable = error if isinstance(error, StorageUnavailable) else unavailable
            else:
                if found is not None:
                    _LOG.info(
                        "recovered upload %s of list %s: it is %s", found.id, found.list_id, found.status
                    )
                    ended.append(found)
        if unavailable is not None:
            raise unavailable
        with suppress(StorageError):
            self._wiring.storage.reclaim()
        return ended

    def withdraw(self, upload_id: str, *, actor: str | None = None) -> Upload:
        """Take back the unassigned codes of a wrong upload. They can be uploaded again elsewhere.

        Args:
            upload_id: a completed upload.
            actor: the person who takes them back, for the audit log.

        Returns:
            the upload, with `withdrawn` counting its codes that were taken back.

        Raises:
            UnknownUpload: there is no such upload.
            UploadRunning: it has not ended.
            ActionNotAllowed: the list is archived.
        """
        actor = require_actor(actor)
        now = self._wiring.now()

        def take_back(tx: Transaction) -> Upload:
            upload = _require_upload(tx, upload_id)
            voucher_list = require_list(tx, upload.list_id, for_update=True)
            # Another call may have withdrawn it while this one waited for the list.
            upload = _require_upload(tx, upload_id)
            voucher_list.require_not_archived("withdraw")
            if upload.is_running:
                raise UploadRunning(list_id=upload.list_id, upload_id=upload.id)
            if upload.status is not UploadStatus.COMPLETED:
                return upload
            before = counts_at(tx, voucher_list.id, now)
            tx.codes.withdraw(upload_id)
            counts = counts_at(tx, voucher_list.id, now)
            # With the codes of reservations that have run out and that another transaction was ending.
            codes = counts.withdrawn - before.withdrawn
            if codes:
                upload, events = upload.taken_back(codes, now)
                tx.uploads.save(upload)
                tx.lists.touch(voucher_list.id, now)
                record(tx, events, actor)
                notify_stock_level(tx, voucher_list, voucher_list.notified, counts, now)
            # Also without codes it is committed: those that are reserved now are withdrawn when they come back.
            return upload

        list_id = self.get(upload_id).list_id
        if self._wiring.read(require_list, list_id).counts.reserved:
            # Many at a time would hold the list's lock for long.
            return_run_out(self._wiring, list_id, now)
        return self._wiring.write_alone(take_back)

    def explain_duplicate(self, list_id: str, code: str) -> DuplicateExplanation | None:
        """Say which rule and which list would refuse a code in a list; None where it is no duplicate.

        Raises:
            UnknownList: there is no such list.
            InvalidInput: `code` is no text that a storage could hold.
        """
        trimmed = self._wiring.code_format.trim(require_text("code", code))

        def read(tx: Transaction) -> Holder | None:
            return tx.codes.holder(require_list(tx, list_id).scope, trimmed, counts_for_duplicates)

        if self._wiring.read(read) is None:
            return None
        return_what_uploads_see(self._wiring)
        holder = self._wiring.read(read)
        if holder is None:
            return None
        kind, message = refusal(list_id, holder)
        return DuplicateExplanation(self._wiring.duplicates.name, kind, holder.list_id, message)

    def _draft(
        self,
        list_id: str,
        source: CodeSource,
        uploaded_by: str,
        filename: str | None,
        header: bool | None,
        encoding: str,
        progress: OnProgress | None,
        force: bool,
    ) -> Upload:
        """Check the arguments of an upload, and return its entry without an id."""
        self._wiring.require_own_transactions(_NO_PART)
        require_bool("force", force)
        if progress is not None:
            require_callable("progress", progress)
        return Upload(
            id="",
            list_id=list_id,
            uploaded_by=uploaded_by,
            filename=source_filename(source, filename),
            started_at=self._wiring.now(),
            encoding=require_encoding(encoding),
            header=require_header(header),
        )

    def _require_uploadable(self, list_id: str) -> VoucherList:
        return_what_uploads_see(self._wiring)
        voucher_list = self._wiring.read(require_list, list_id)
        voucher_list.require_allowed(Action.UPLOAD, self._wiring.now())
        return voucher_list


def _limit_of(upload: Upload) -> Callable[[bytes], int]:
    """Return a function from a file's first bytes to its allowed size."""
    return lambda head: size_limit(upload.header is not False and is_error_file(head, upload.encoding))


def _unread_fault(list_is_full: bool, opened: OpenSource) -> FileFault | None:
    """Return why a file is refused before any of it is stored."""
    if list_is_full:
        return no_room()
    return too_large(opened.limit) if opened.is_too_large else None


def _require_upload(tx: Transaction, upload_id: object) -> Upload:
    upload_id = require_id("upload_id", upload_id)
    found = tx.uploads.get(upload_id) if could_be_id(upload_id) else None
    if found is None:
        raise UnknownUpload(upload_id=upload_id)
    return found
