"""A model of the life of a code after it is given out: revoked, redeemed, reconciled, forgotten. See `model`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from partner_vouchers import errors
from partner_vouchers.domain.reconciliation import RowKind
from partner_vouchers.testing.model import (
    AVAILABLE,
    RESERVED,
    RESTOCKED,
    RETIRED,
    WITHDRAWN,
    Answer,
    KnownCode,
    Refused,
    ScopeRule,
)
from partner_vouchers.testing.model_of_requests import Given, ModelOfRequests, Used


class Model(ModelOfRequests):
    """All of it.

    Attributes:
        has_sink: whether events were ever delivered to a sink.
        sent: the ids of the events that the sink has.
        outages: how many deliveries failed, so that the sink may have an event or not.
    """

    def __init__(self, scope_rule: ScopeRule, now: datetime) -> None:
        super().__init__(scope_rule, now)
        self.has_sink: bool = False
        self.sent: set[str] = set()
        self.outages: int = 0

    def codes_revoke(self, given_id: str, *, restock: bool, force: bool) -> Answer:
        (given,) = (each for each in self.given if each.id == given_id)
        code, known = given.code, self.lists[given.code.list_id]
        if given.revoked:
            if restock and code.state is not RESTOCKED:
                raise Refused(errors.AlreadyRevoked)
            return {"restocked": code.state is RESTOCKED}
        is_sent = given.event_id in self.sent
        if restock:
            if given.redemption is not None or known.archived or code.upload.is_withdrawn:
                raise Refused(errors.RestockNotAllowed)
            # An event that an erasure cancelled counts as taken from the delivery on that leaves it out.
            is_uncertain = bool(self.outages) or given.cancelled
            may_be_known = is_sent or not self.has_sink or (is_uncertain and self.said is None)
            if may_be_known and not force:
                raise Refused(errors.CodeMayBeKnown)
            known.codes.append(KnownCode(code.code, code.list_id, code.upload, returned=True, is_second=True))
        code.state = RESTOCKED if restock else RETIRED
        given.revoked, given.cancelled = True, not is_sent
        self.events.append(("code.revoked", code.list_id, given.id))
        return {"restocked": restock}

    def redemptions_add(self, code: str, order_id: str, *, list_id: str, user_id: str | None) -> Answer:
        self.require(list_id)
        entry = self._newest(code, list_id)
        given = None if entry is None else self._given_of(entry)
        had_order = given is not None and any(each.order_id == order_id for each in given.redemptions)
        if given is None or (given.revoked and given.redemption is None and not had_order):
            raise Refused(errors.NotDistributed)
        if user_id not in (None, given.user_id):
            raise Refused(errors.NotTheirCode)
        if any(each.reverted and each.order_id == order_id for each in given.redemptions):
            raise Refused(errors.RedemptionReverted)
        known = given.redemption
        if known is None:
            self._use(given, order_id)
        elif known.order_id not in (None, order_id):
            raise Refused(errors.AlreadyRedeemed)
        else:
            known.order_id = order_id
        return {"assignment_id": given.id}

    def redemptions_revert(self, code: str, order_id: str, *, list_id: str) -> Answer:
        self.require(list_id)
        found = [
            (given, used)
            for given in self.given
            if (given.code.code, given.code.list_id) == (code, list_id)
            for used in given.redemptions
            if used.order_id == order_id
        ]
        if not found:
            raise Refused(errors.UnknownRedemption)
        if len(found) > 1:
            raise Refused(errors.AmbiguousCode)
        given, used = found[0]
        if not used.reverted:
            used.reverted = True
            self.events.append(("code.redemption_reverted", list_id, given.id))
        return {"assignment_id": given.id}

    def redemptions_upload(self, file: bytes, *, list_id: str, **_how: str) -> Answer:
        known = self.require(list_id)
        rows = [line.split(",") for line in file.decode().splitlines()[1:]]
        kinds = [self._reconcile(code, list_id, order_id or None) for code, order_id in rows]
        if RowKind.NEVER_DISTRIBUTED in kinds:
            self._announce(known, falling=True)
        return {"rows": [{"kind": kind} for kind in kinds], "counts": Counter(kinds)}

    def forget(self, user: str, pseudonym: str) -> None:
        """Give a user another name everywhere."""
        for each in self.given:
            if each.user_id == user:
                each.user_id = pseudonym
                each.cancelled |= each.event_id not in self.sent
        for reserved in self.reservations.values():
            if reserved.user_id == user:
                reserved.user_id = pseudonym

    def _reconcile(self, code: str, list_id: str, order_id: str | None) -> RowKind:
        entry = self._newest(code, list_id)
        if entry is None:
            return RowKind.UNKNOWN_CODE
        given = self._given_of(entry)
        if given is None:
            if entry.state is AVAILABLE:
                entry.state = RETIRED
                self.events.append(("code.redeemed_undistributed", list_id, None))
            return RowKind.RESERVED if entry.state is RESERVED else RowKind.NEVER_DISTRIBUTED
        known = given.redemption
        if order_id is not None and any(u.reverted and u.order_id == order_id for u in given.redemptions):
            return RowKind.REVERTED
        if known is not None:
            if None not in (known.order_id, order_id) and known.order_id != order_id:
                return RowKind.OTHER_ORDER
            known.order_id = known.order_id or order_id
            return RowKind.KNOWN_ALREADY
        if given.redemptions and order_id is None:
            return RowKind.REVERTED
        if given.revoked:
            return RowKind.REVOKED
        self._use(given, order_id)
        return RowKind.RECORDED

    def _newest(self, code: str, list_id: str) -> KnownCode | None:
        """Return the newest entry of a code in a list that a redemption may be about."""
        found = [
            each
            for each in self.lists[list_id].codes
            if each.code == code
            and each.state is not WITHDRAWN
            and not (each.state is AVAILABLE and each.taken_over)
        ]
        return found[-1] if found else None

    def _given_of(self, entry: KnownCode) -> Given | None:
        return next((each for each in self.given if each.code is entry), None)

    def _use(self, given: Given, order_id: str | None) -> None:
        given.redemptions.append(Used(order_id))
        self.events.append(("code.redeemed", given.code.list_id, given.id))
