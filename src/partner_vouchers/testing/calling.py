"""Calls of the library beside the same calls of the model: equal answers, or the same refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from partner_vouchers.domain.duplicates import DuplicatePolicy, Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.reservation import Preview
from partner_vouchers.domain.uploads import RowFaultKind
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.ports import Storage
from partner_vouchers.testing.fakes import FixedClock
from partner_vouchers.testing.model import Refused, ScopeRule
from partner_vouchers.testing.model_of_codes import Model
from partner_vouchers.testing.model_of_requests import Origin
from partner_vouchers.vouchers import PartnerVouchers

SCOPES: Mapping[str, ScopeRule] = {
    PerPartnerAndTag().name: lambda partner, tag: (partner, tag),
    PerPartner().name: lambda partner, tag: partner,
    Everywhere().name: lambda partner, tag: None,
}
"""The scope rule of each shipped policy, by its name."""


class Calls:
    """The library on a storage, and the model of what it should say.

    Attributes:
        clock: the clock of both.
        vouchers: the library.
        model: the model.
        upload_ids: the ids of all uploads that ended by themselves.
        refusal: the error with which the library refused the last call, if it did.
    """

    def __init__(self, storage: Storage, policy: DuplicatePolicy) -> None:
        self._policy = policy
        self.clock: FixedClock = FixedClock()
        self.model: Model = Model(SCOPES[policy.name], self.clock.now)
        self.upload_ids: list[str] = []
        self.refusal: PartnerVouchersError | None = None
        self.vouchers: PartnerVouchers
        self.use(storage)

    def use(self, storage: Storage) -> None:
        """Go on with another object of the library, on this storage."""
        self.vouchers = PartnerVouchers(storage, duplicates=self._policy, clock=self.clock, keep_events=None)

    def same(self, call: str, *arguments: Any, **options: Any) -> Any:
        """Call the library and the model, and require the same answer.

        Args:
            call: the call of the library, such as `"codes.assign"`; the model has a method `codes_assign`.
            arguments: the arguments of both.
            options: likewise, by name.

        Returns:
            the answer of the library, or None if both refused with the same error.
        """
        __tracebackhide__ = True
        group, _, name = call.partition(".")
        found: Any = None
        refusal: PartnerVouchersError | None = None
        try:
            found = getattr(getattr(self.vouchers, group), name)(*arguments, **options)
        except PartnerVouchersError as raised:
            refusal = raised
        # Now: another call may have been made while an upload was read.
        self.model.said, self.refusal = found, refusal
        try:
            expected = getattr(self.model, f"{group}_{name}")(*arguments, **options)
        except Refused as refused:
            # Not a relative of it.
            due, is_due = refused.error.__name__, type(refusal) is refused.error
            assert is_due, f"{due} is due, not {refusal or found!r}"
            return None
        if refusal is not None:
            raise refusal
        assert _told(found, expected) == expected
        return found

    def create(self, partner: str, tag: str, days: int, threshold: int | None) -> str | None:
        """Create a list that expires after some days; return its id, or None where the tag is taken."""
        fields = {
            "name": "A list",
            "expires_at": self.clock.now + timedelta(days=days),
            "low_stock_at": threshold,
        }
        made = self.same("lists.create", partner=partner, tag=tag.upper(), **fields)
        return None if made is None else str(made.id)

    def upload(
        self,
        list_id: str,
        codes: list[str],
        force: bool = False,
        during: Callable[[], object] | None = None,
    ) -> Any:
        """Upload a file, and check what `validate` says of it before; `during` is done once while it is read."""
        file = "".join(f"{code}\n" for code in codes).encode()
        left = [during] if during is not None else []

        def work_meanwhile(_: object) -> None:
            if left:
                left.pop()()

        asked: dict[str, Any] = {"filename": "codes.csv", "force": force}
        if during is None:
            self.same("uploads.validate", list_id, file, **asked)
        upload = self.same("uploads.add", list_id, file, uploaded_by="ops", progress=work_meanwhile, **asked)
        if upload is not None:
            faulty = Counter(fault.raw for fault in self.vouchers.uploads.errors(upload.id))
            assert faulty == Counter(codes) - Counter(self.model.uploads[upload.id].accepted)
            assert self.vouchers.uploads.original_file(upload.id).read() == file
            self.upload_ids.append(upload.id)
        return upload

    def upload_as_explained(self, list_id: str, code: str) -> None:
        """Upload a code, and compare the result with what `explain_duplicate` said before."""
        explained = self.same("uploads.explain_duplicate", list_id, code)
        upload = self.upload(list_id, [code], force=True)
        if upload is None:
            return
        assert upload.errors == ({} if explained is None else {explained.kind: 1})
        if explained is not None:
            (fault,) = self.vouchers.uploads.errors(upload.id)
            assert fault.message == explained.message
            assert explained.kind is RowFaultKind.DUPLICATE_IN_LIST or explained.list_id in fault.message

    def assign(self, user: str, origin: Origin, key: str | None) -> None:
        """Give a user a code. Without a key, it is the one that `preview` said just before."""
        said: Preview | None = None
        if key is None:
            try:
                said = self.vouchers.codes.preview(user_id=user, **of(origin))
                refusal = said.refusal
            except PartnerVouchersError as error:
                refusal = error
        reward = self.same("codes.assign", user_id=user, idempotency_key=key, **of(origin))
        assert reward is None or reward.event.voucher_code == reward.code
        assert key is not None or type(refusal) is type(self.refusal)
        if said is not None and reward is not None:
            reserved = [each.given.id for each in self.model.reservations.values() if each.given is not None]
            assert (said.replay and said.replay.id) == (reward.id if reward.replayed else None)
            assert (said.reservation is not None) == (reward.id in reserved and not reward.replayed)
            assert said.reservation is not None or (said.replay or said).list_id == reward.list_id


def of(origin: Origin) -> dict[str, Any]:
    """Return what a request for a code is asked of, as arguments."""
    return {"campaign_id": origin[0], "list_id": origin[1]}


def _told(found: Any, expected: Any) -> Any:
    """Return of an answer what the model speaks of."""
    if isinstance(expected, dict) and not isinstance(found, Mapping):
        return {name: _told(getattr(found, name, None), value) for name, value in expected.items()}
    if isinstance(expected, list):
        return [_told(*each) for each in zip(found, expected, strict=False)] + list(found[len(expected) :])
    return found
