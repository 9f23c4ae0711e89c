"""Codes: give them to users, and look up who has which."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO

from partner_vouchers.csvfile.cells import csv_bytes
from partner_vouchers.csvfile.export import distributed_codes
from partner_vouchers.csvfile.streams import as_binary_stream
from partner_vouchers.domain.arguments import require_bool, require_duration
from partner_vouchers.domain.assignment import Assignment, new_request
from partner_vouchers.domain.events import CodeRevealed, FieldChange
from partner_vouchers.domain.text import MAX_TEXT, could_be_id, require_id, require_name, require_own_id
from partner_vouchers.errors import UnknownAssignment
from partner_vouchers.ports import TakenCode, Transaction
from partner_vouchers.usecases.limiting import return_run_out
from partner_vouchers.usecases.reservation_requests import CodeReservations
from partner_vouchers.usecases.taking_back import TakingBack
from partner_vouchers.usecases.wiring import PAGE, ago, audit_access, audit_download, require_list


class CodesGroup(CodeReservations, TakingBack):
    """The codes and who has them; reached as `vouchers.codes`."""

    def of_user(self, user_id: str, *, expired: bool = True, revoked: bool = False) -> list[Assignment]:
        """Return the codes that a user has, the oldest first.

        Args:
            user_id: the user.
            expired: False leaves out the codes of lists whose present expiry has passed.
            revoked: True adds the codes that were taken back; their `revoked_at` is set.

        Raises:
            InvalidInput: an argument breaks its rule.
        """
        user_id = require_own_id("user_id", user_id)
        expired, revoked = require_bool("expired", expired), require_bool("revoked", revoked)
        now = self._wiring.now()

        def read(tx: Transaction) -> list[Assignment]:
            found = [each for each in tx.assignments.of_user(user_id) if revoked or each.revoked_at is None]
            if expired:
                return found
            # One look-up of all lists, however many codes the user has.
            expiries = tx.lists.expiries({each.list_id for each in found})
            return [each for each in found if now <= expiries.get(each.list_id, now)]

        return self._wiring.read(read)

    def holders(self, code: str) -> list[Assignment]:
        """Return who has a code: one assignment for each list that gave it out, archived lists included.

        Raises:
            InvalidInput: `code` is not a string that could be a code.
        """
        code = self._wiring.code_format.trim(require_name("code", code, most=MAX_TEXT))
        return self._wiring.read(lambda tx: tx.assignments.of_code(code))

    def assignments(self, list_id: str) -> Iterator[Assignment]:
        """Yield the assignments of a list in the order of its codes, in pages, so that memory does not grow.

        Codes that are assigned while you read the iterator may be yielded or not.

        Raises:
            UnknownList: there is no such list; raised by the call.
        """
        self._wiring.read(require_list, list_id)
        return self._assignments(list_id)

    def reveal(self, assignment_id: str, *, actor: str) -> Assignment:
        """Return an assignment to show its whole code to a person, and keep in the audit log who saw it.

        Args:
            assignment_id: the assignment.
            actor: the person.

        Raises:
            UnknownAssignment: there is no such assignment.
            InvalidInput: an argument breaks its rule.

        Example:
            >>> reward = vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42")
            >>> vouchers.codes.reveal(reward.id, actor="asha@example.com").code
            'PM500AA'
        """
        wanted = require_id("assignment_id", assignment_id)
        found = self._wiring.read(lambda tx: tx.assignments.get_many([wanted]) if could_be_id(wanted) else [])
        if not found:
            raise UnknownAssignment(assignment_id=wanted)
        change = FieldChange("assignment", None, found[0].id)
        event = CodeRevealed(occurred_at=self._wiring.now(), list_id=found[0].list_id, changes=(change,))
        audit_access(self._wiring, event, actor)
        return found[0]

    def unredeemed(
        self,
        *,
        campaign_id: str | None = None,
        list_id: str | None = None,
        older_than: timedelta = timedelta(0),
    ) -> Iterator[Assignment]:
        """Yield who was given a code and has not used it, for a reminder, in pages, so that memory does not grow.

        Revoked codes are left out; those of lists that have expired since are not. With `campaign_id` all assignments
        of the storage are read once.

        Args:
            campaign_id: the campaign that gave the codes; pass either this or `list_id`.
            list_id: the list that they came from.
            older_than: how long ago they were given at least.

        Raises:
            UnknownList: there is no such list; raised by the call.
            InvalidInput: an argument breaks its rule; raised by the call.

        Example:
            >>> vouchers.codes.assign(campaign_id="CMP123456", user_id="user-42").user_id
            'user-42'
            >>> [each.user_id for each in vouchers.codes.unredeemed(campaign_id="CMP123456")]
            ['user-42']
        """
        request = new_request(campaign_id, list_id, None)
        age = require_duration(
            "older_than", older_than, "must be a timedelta of zero or more, such as timedelta(days=7)"
        )
        if request.list_id is not None:
            self._wiring.read(require_list, request.list_id)
        until = ago(self._wiring.now(), age)

        def read(tx: Transaction, after: str | None) -> list[Assignment]:
            return tx.redemptions.unredeemed(request.campaign_id, request.list_id, until, after, PAGE)

        return self._stream(read, _id_of)

    def export(
        self, list_id: str, *, remaining: bool = False, raw: bool = False, actor: str | None = None
    ) -> BinaryIO:
        """Return the codes of a list as a CSV file in UTF-8.

        Args:
            list_id: the list.
            remaining: False for the codes that were given out, with user, campaign and time; True for those
                that are left.
            raw: False protects cells that a spreadsheet would run as a formula; True leaves them as they are.
            actor: the person who downloads it, for the audit log.

        Returns:
            a stream to read from; it reads the storage piece by piece.

        Raises:
            UnknownList: there is no such list.
            InvalidInput: an argument breaks its rule.
        """
        remaining, raw = require_bool("remaining", remaining), require_bool("raw", raw)
        found = self._wiring.read(require_list, list_id)
        if remaining and found.counts.reserved:
            return_run_out(self._wiring, found.id, self._wiring.now())
        audit_download(self._wiring, list_id, "remaining codes" if remaining else "distributed codes", actor)
        if remaining:
            left = self._stream(lambda tx, after: tx.codes.remaining(list_id, after, PAGE), _id_of)
            return as_binary_stream(csv_bytes(("code",), ((each.code,) for each in left), raw=raw))
        return as_binary_stream(distributed_codes(self._assignments(list_id), raw=raw))

    def _assignments(self, list_id: str) -> Iterator[Assignment]:
        return self._stream(lambda tx, after: tx.assignments.of_list(list_id, after, PAGE), _id_of)


def _id_of(row: Assignment | TakenCode) -> str:
    return row.id
