"""Calls of the library beside the same calls of the model: equal results, or the same refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.duplicates import DuplicatePolicy, Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.reservation import Preview
from partner_vouchers.domain.uploads import RowFaultKind, Upload
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.ports import Storage
from partner_vouchers.testing.fakes import FixedClock
from partner_vouchers.testing.hooks import must_raise
from partner_vouchers.testing.model import Refused, ScopeRule
from partner_vouchers.testing.model_of_codes import Model
from partner_vouchers.testing.model_of_requests import Given, Hints, Origin
from partner_vouchers.vouchers import PartnerVouchers

T = TypeVar("T")
U = TypeVar("U")

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
    """

    def __init__(self, storage: Storage, policy: DuplicatePolicy) -> None:
        self._policy = policy
        self.clock: FixedClock = FixedClock()
        self.model: Model = Model(SCOPES[policy.name], self.clock.now)
        self.upload_ids: list[str] = []
        self.vouchers: PartnerVouchers
        self.use(storage)

    def use(self, storage: Storage) -> None:
        """Go on with another object of the library, on this storage."""
        self.vouchers = PartnerVouchers(storage, duplicates=self._policy, clock=self.clock, keep_events=None)

    def both(self, of_library: Callable[[], T], of_model: Callable[[T | None], U]) -> tuple[U, T] | None:
        """Call both, and return both results; None if both refuse with the same error.

        Args:
            of_library: calls the library.
            of_model: calls the model with what the library said, or None if it refused.
        """
        __tracebackhide__ = True
        found: T | None = None
        error: PartnerVouchersError | None = None
        try:
            found = of_library()
        except PartnerVouchersError as raised:
            error = raised
        due: type[PartnerVouchersError] | None = None
        try:
            expected = of_model(found)
        except Refused as refused:
            due = refused.error
        if due is not None:
            # Not a relative of it.
            assert type(error) is due, f"{due.__name__} is due, not {error or found!r}"
            return None
        if error is not None:
            raise error
        return expected, found  # type: ignore[return-value]

    def same(self, group: str, call: str, *arguments: Any, **options: Any) -> tuple[Any, Any] | None:
        """Make the same call of both: of a group of the library, and of the model."""
        return self.both(
            lambda: getattr(getattr(self.vouchers, group), call)(*arguments, **options),
            lambda _: getattr(self.model, call)(*arguments, **options),
        )

    def require_same(self, of_library: Callable[[], T], of_model: Callable[[T | None], T]) -> T | None:
        """Call both, and require that they say the same; return it."""
        done = self.both(of_library, of_model)
        assert done is None or done[0] == done[1]
        return None if done is None else done[1]

    def create(self, partner: str, tag: str, days: int, threshold: int | None) -> str | None:
        """Create a list that expires after some days; return its id, or None where the tag is taken."""
        expires_at = self.clock.now + timedelta(days=days)
        asked: dict[str, Any] = {"name": "A list", "expires_at": expires_at, "low_stock_at": threshold}
        done = self.both(
            lambda: self.vouchers.lists.create(partner=partner, tag=tag.upper(), **asked),
            lambda made: self.model.create(None if made is None else made.id, partner, tag, **asked),
        )
        if done is None:
            return None
        assert (done[1].tag, done[1].status) == (tag, Status.ACTIVE)
        return done[1].id

    def upload(
        self,
        list_id: str,
        codes: list[str],
        force: bool = False,
        during: Callable[[], object] | None = None,
    ) -> Upload | None:
        """Upload a file, and check what `validate` says of it before; `during` is done once while it is read."""
        file = "".join(f"{code}\n" for code in codes).encode()
        left = [during] if during is not None else []

        def work_meanwhile(_: object) -> None:
            if left:
                left.pop()()

        asked: dict[str, Any] = {"filename": "codes.csv", "force": force}
        if during is None:
            checked = self.both(
                lambda: self.vouchers.uploads.validate(list_id, file, **asked),
                lambda _: self.model.judge(list_id, file, codes, force=force),
            )
            if checked is not None:
                verdict, found = checked
                assert (found.acceptable, found.errors) == (len(verdict.accepted), verdict.errors)
        done = self.both(
            lambda: self.vouchers.uploads.add(
                list_id, file, uploaded_by="ops", progress=work_meanwhile, **asked
            ),
            lambda _: self.model.judge(list_id, file, codes, force=force),
        )
        if done is None:
            return None
        verdict, upload = done
        assert (upload.accepted, upload.total) == (len(verdict.accepted), len(codes))
        assert upload.errors == verdict.errors
        faulty = Counter(fault.raw for fault in self.vouchers.uploads.errors(upload.id))
        assert faulty == Counter(codes) - Counter(verdict.accepted)
        assert self.vouchers.uploads.original_file(upload.id).read() == file
        self.model.upload(upload.id, list_id, file, verdict)
        self.upload_ids.append(upload.id)
        return upload

    def upload_as_explained(self, list_id: str, code: str) -> None:
        """Upload a code, and compare the result with what `explain_duplicate` said before."""
        done = self.both(
            lambda: self.vouchers.uploads.explain_duplicate(list_id, code),
            lambda _: self.model.holder(list_id, code),
        )
        if done is None:
            return
        holder, explained = done
        assert (explained and explained.list_id) == holder
        upload = self.upload(list_id, [code], force=True)
        if upload is None:
            return
        assert upload.errors == ({} if explained is None else {explained.kind: 1})
        if explained is not None:
            (fault,) = self.vouchers.uploads.errors(upload.id)
            assert fault.message == explained.message
            assert explained.kind is RowFaultKind.DUPLICATE_IN_LIST or explained.list_id in fault.message

    def assign(self, user: str, origin: Origin, key: str | None) -> Reward | None:
        """Give a user a code. Without a key, it is the one that `preview` said just before."""
        codes, about = self.vouchers.codes, asked(origin)
        said: list[Preview] = []

        def of_library() -> Reward:
            give = partial(codes.assign, user_id=user, idempotency_key=key, **about)
            if key is None:
                said.append(codes.preview(user_id=user, **about))
                if said[0].refusal is not None:
                    raise must_raise(type(said[0].refusal), give)
            return give()

        done = self.both(
            of_library,
            lambda reward: self.model.assign(user, origin, key, hints([] if reward is None else [reward])),
        )
        if done is None:
            assert all(each.refusal is not None for each in said)
            return None
        expected, reward = done
        assert answer(reward) == modelled(expected)
        given, replayed = expected
        was_reserved = any(each.given is given for each in self.model.reservations.values())
        for each in said:
            assert each.refusal is None
            assert (each.replay and each.replay.id) == (reward.id if replayed else None)
            assert (each.reservation is not None) == (was_reserved and not replayed)
            assert each.reservation is not None or (each.replay or each).list_id == reward.list_id
        return reward

    def confirm(self, reservation_id: str) -> None:
        """Confirm a reservation."""
        done = self.both(
            lambda: self.vouchers.codes.confirm(reservation_id),
            lambda reward: self.model.confirm(reservation_id, None if reward is None else reward.id),
        )
        assert done is None or answer(done[1]) == modelled(done[0])

    def release(self, reservation_id: str) -> None:
        """Release a reservation."""
        done = self.same("codes", "release", reservation_id)
        assert done is None or done[1].state is done[0].state


def asked(origin: Origin) -> dict[str, Any]:
    """Return what a request for a code is asked of, as arguments."""
    return {"campaign_id": origin[0], "list_id": origin[1]}


def hints(rewards: Iterable[Reward]) -> Hints:
    """Return what the library gave."""
    found: Hints = {}
    for each in rewards:
        if not each.replayed:
            found.setdefault(each.user_id, []).append((each.code, each.id))
    return found


def answer(reward: Reward) -> tuple[object, ...]:
    """Return what a user got, as the library says it."""
    return reward.id, reward.list_id, reward.code, reward.user_id, reward.campaign_id, reward.replayed


def modelled(expected: tuple[Given, bool]) -> tuple[object, ...]:
    """Return what a user should get, likewise."""
    given, replayed = expected
    code = given.code
    return given.id, code.list_id, code.code, given.user_id, given.campaign_id, replayed
