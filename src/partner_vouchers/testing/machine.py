"""Any sequence of calls of the library on a storage, compared with a model after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from partner_vouchers.domain.assignment import Reward
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.duplicates import DuplicatePolicy, Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.reservation import Preview, Reservation, ReservationState
from partner_vouchers.domain.uploads import RowFaultKind, Upload
from partner_vouchers.errors import PartnerVouchersError, Unsupported
from partner_vouchers.ports import Storage, Transaction
from partner_vouchers.testing.comparing import Shown, require_as_modelled
from partner_vouchers.testing.fakes import FailingSink, FixedClock
from partner_vouchers.testing.hooks import StorageHooks, Unable
from partner_vouchers.testing.model import RESERVED, Refused, ScopeRule
from partner_vouchers.testing.model_of_codes import Given, Hints, Model, Origin
from partner_vouchers.vouchers import PartnerVouchers

T = TypeVar("T")
U = TypeVar("U")

SCOPES: Mapping[str, ScopeRule] = {
    PerPartnerAndTag().name: lambda partner, tag: (partner, tag),
    PerPartner().name: lambda partner, tag: partner,
    Everywhere().name: lambda partner, tag: None,
}
"""Where a code must be unique, by the name of the shipped policy."""

ABILITIES = ("reservations", "limits", "revocations", "redemptions", "users")

_USERS = st.sampled_from(["ann", "bob", "cid", "dee"])
_CODES = st.sampled_from([f"C{number:02}" for number in range(1, 17)])
_FILES = st.lists(_CODES | _CODES | _CODES | _CODES | st.just("BAD CODE"), min_size=1, max_size=8)
_PARTNERS, _TAGS = st.sampled_from(["Puma", "Amazon"]), st.sampled_from(["sale", "vip"])
_CAMPAIGNS = st.sampled_from(["CMP1", "CMP2"])
_KEYS = st.sampled_from([None, None, None, "key-1", "key-2", "key-3"])
_REPEATS, _PRIORITIES = st.sampled_from(RepeatPolicy), st.integers(0, 2)
_THRESHOLDS = st.sampled_from([None, 0, 1, 2])
_ORDERS = st.sampled_from(["order-1", "order-2"])
_ANY = st.integers(0, 99)
_DAY = Limit(2, per="campaign", period="day", zone="UTC")
_LIMITS = st.sampled_from(
    [[], [Limit(1, per="user")], [Limit(3, per="campaign")], [_DAY, Limit(2, per="user")], [_DAY]]
)
_TTLS = st.sampled_from([timedelta(minutes=5), timedelta(hours=30), timedelta(days=30)])


class StorageMachine(RuleBasedStateMachine):
    """Calls the library in any order: all that can become of a code, crashes, joined transactions, jumps of the clock.

    `StorageContract` runs it. To search longer, run it yourself:

        run_state_machine_as_test(lambda: StorageMachine(TestMyStorage()), settings=settings(max_examples=2000))
    """

    lists: Bundle[str] = Bundle("lists")

    def __init__(self, hooks: StorageHooks, duplicates: DuplicatePolicy | None = None) -> None:
        """Take what opens the storage.

        Args:
            hooks: an object of the class that subclasses `StorageContract`.
            duplicates: one of the shipped policies; per partner and tag by default.
        """
        super().__init__()
        self._hooks = hooks
        self._directory = TemporaryDirectory(ignore_cleanup_errors=True)
        self._place = Path(self._directory.name)
        self._policy: DuplicatePolicy = duplicates or PerPartnerAndTag()
        self._clock = FixedClock()
        self._storage = hooks.new_storage(self._place)
        second = hooks.second_connection(self._storage, self._place)
        self._second: Storage | None = None if isinstance(second, Unable) else second
        self.vouchers: PartnerVouchers = self._library(self._storage)
        self.model: Model = Model(SCOPES[self._policy.name], self._clock.now)
        self._upload_ids: list[str] = []
        self._sink = FailingSink("sink")
        self._outages = 0
        with self._storage.begin(write=False) as tx:
            self._able = {ability for ability in ABILITIES if _is_able(tx, ability)}
        self._shown = Shown("limits" in self._able, "reservations" in self._able)

    def teardown(self) -> None:
        """Let go of the storage."""
        for each in (self._second, self._storage):
            if each is not None:
                self._hooks.close(each)
        self._directory.cleanup()

    # --- partners and lists ---

    @initialize(
        target=lists,
        files=st.tuples(_FILES, _FILES),
        repeat=_REPEATS,
        priorities=st.tuples(_PRIORITIES, _PRIORITIES),
    )
    def begin(
        self, files: tuple[list[str], list[str]], repeat: RepeatPolicy, priorities: tuple[int, int]
    ) -> Any:
        """Begin in the middle: lists of one partner, and of one tag, that have codes and serve a campaign."""
        for name in ("Puma", "Amazon"):
            self.add_partner(name)
        made = [
            self._create(*asked)
            for asked in (("Puma", "sale", 4, 1), ("Puma", "vip", 7, None), ("Amazon", "sale", 5, None))
        ]
        lists = [each for each in made if each is not None]
        self._upload(lists[0], files[0])
        self._upload(lists[1], files[1])
        # The younger list first, so that age alone does not tell the order.
        self.link(lists[1], "CMP1", repeat, priorities[0])
        self.link(lists[0], "CMP1", repeat, priorities[1])
        return multiple(*lists)

    @rule(name=_PARTNERS)
    def add_partner(self, name: str) -> None:
        """Add a partner, which may be there."""
        self._both(lambda: self.vouchers.partners.add(name), lambda _: self.model.add_partner(name))

    @rule(target=lists, partner=_PARTNERS, tag=_TAGS, days=st.integers(1, 9), threshold=_THRESHOLDS)
    def create(self, partner: str, tag: str, days: int, threshold: int | None) -> Any:
        """Create a list, unless its tag is taken."""
        created = self._create(partner, tag, days, threshold)
        return multiple() if created is None else created

    @rule(list_id=lists, contrary=st.sampled_from([False, False, False, True]))
    def pause_or_activate(self, list_id: str, contrary: bool) -> None:
        """Do what a list is due for, or now and then what it is not."""
        known = self.model.lists.get(list_id)
        if (known is not None and known.paused) is contrary:
            self._both(lambda: self.vouchers.lists.pause(list_id), lambda _: self.model.pause(list_id))
        else:
            self._both(lambda: self.vouchers.lists.activate(list_id), lambda _: self.model.activate(list_id))

    @rule(target=lists, list_id=lists, extra=st.lists(_CODES, max_size=3), again=st.booleans())
    def archive(self, list_id: str, extra: list[str], again: bool) -> Any:
        """Archive a list, and perhaps upload its codes to the one that follows: they are free at once."""
        done = self._both(
            lambda: list(self.vouchers.lists.archive(list_id).campaign_ids),
            lambda _: self.model.archive(list_id),
        )
        assert done is None or done[0] == done[1]
        old = self.model.lists.get(list_id)
        if not again or old is None:
            return multiple()
        created = self._create(old.partner, old.tag, 6, None)
        if created is None:
            return multiple()
        self._upload(created, [code.code for code in old.codes] + extra or ["C01"])
        return created

    @rule(list_id=lists, really=st.sampled_from([False, False, False, True]))
    def delete(self, list_id: str, really: bool) -> None:
        """Delete a list, now and then, unless a code was given out."""
        reserved = [each for each in self.model.reservations.values() if each.code.list_id == list_id]
        if not really and not self.model.campaigns_of(list_id):
            return
        if any(each.state in (ReservationState.EXPIRED, ReservationState.RELEASED) for each in reserved):
            # What becomes of such a reservation when its list goes is the storage's affair.
            return
        given = [each for each in self.model.given if each.code.list_id == list_id]
        self._both(
            lambda: self.vouchers.lists.delete(list_id),
            lambda _: self.model.delete(list_id, was_used=bool(given)),
        )

    @rule(
        list_id=lists,
        change=st.one_of(
            st.integers(-1, 9).map(lambda days: ("expires_at", days)),
            _THRESHOLDS.map(lambda threshold: ("low_stock_at", threshold)),
            st.sampled_from(["A list", "Another"]).map(lambda name: ("name", name)),
        ),
        behind=st.none() | st.integers(0, 2),
    )
    def edit(self, list_id: str, change: tuple[str, Any], behind: int | None) -> None:
        """Change a list, perhaps as somebody would who read it some versions ago."""
        name, value = change
        changes: dict[str, Any] = {
            name: self._clock.now + timedelta(days=value) if name == "expires_at" else value
        }
        known = self.model.lists.get(list_id)
        version = None if behind is None else 1 if known is None else known.version - behind
        self._both(
            lambda: self.vouchers.lists.edit(list_id, version=version, **changes),
            lambda _: self.model.edit(list_id, version, **changes),
        )

    # --- campaigns ---

    @rule(list_id=lists, campaign_id=_CAMPAIGNS, repeat=_REPEATS, priority=_PRIORITIES)
    def link(self, list_id: str, campaign_id: str, repeat: RepeatPolicy, priority: int) -> None:
        """Link a list to a campaign, or change the link."""
        self._both(
            lambda: self.vouchers.campaigns.link(list_id, campaign_id, repeat=repeat, priority=priority),
            lambda _: self.model.link(list_id, campaign_id, repeat, priority),
        )

    @rule(list_id=lists, campaign_id=_CAMPAIGNS)
    def unlink(self, list_id: str, campaign_id: str) -> None:
        """End a link, if there is one."""
        self._both(
            lambda: self.vouchers.campaigns.unlink(list_id, campaign_id),
            lambda _: self.model.unlink(list_id, campaign_id),
        )

    @precondition(lambda self: "limits" in self._able)
    @rule(campaign_id=_CAMPAIGNS, limits=_LIMITS)
    def set_limits(self, campaign_id: str, limits: list[Limit]) -> None:
        """Replace the limits of a campaign."""
        self._both(
            lambda: self.vouchers.campaigns.set_limits(campaign_id, limits),
            lambda _: self.model.set_limits(campaign_id, limits),
        )

    # --- uploads ---

    @rule(list_id=lists, codes=_FILES, force=st.booleans(), meanwhile=st.none() | _FILES, other=lists)
    def upload(
        self, list_id: str, codes: list[str], force: bool, meanwhile: list[str] | None, other: str
    ) -> None:
        """Upload a file; another one may be uploaded as a whole while this one is read."""
        during = None if meanwhile is None or other == list_id else lambda: self._upload(other, meanwhile)
        self._upload(list_id, codes, force, during)

    @rule(list_id=lists, codes=_FILES)
    def break_an_upload_off(self, list_id: str, codes: list[str]) -> None:
        """Give an upload up while its file is read: nothing of it remains but its entry, which failed."""

        def give_up() -> None:
            raise _GivenUp

        try:
            self._upload(list_id, codes, True, give_up)
        except _GivenUp:
            self.model.told.append(("upload.failed", list_id))

    @rule(list_id=lists, code=_CODES)
    def upload_what_was_explained(self, list_id: str, code: str) -> None:
        """What `explain_duplicate` says is what an upload of that code then does."""
        done = self._both(
            lambda: self.vouchers.uploads.explain_duplicate(list_id, code),
            lambda _: self.model.holder(list_id, code),
        )
        if done is None:
            return
        holder, explained = done
        assert (explained and explained.list_id) == holder
        upload = self._upload(list_id, [code], force=True)
        if upload is not None:
            assert upload.errors == ({} if explained is None else {explained.kind: 1})
        if upload is not None and explained is not None:
            (fault,) = self.vouchers.uploads.errors(upload.id)
            assert fault.message == explained.message
            assert explained.kind is RowFaultKind.DUPLICATE_IN_LIST or explained.list_id in fault.message

    @rule(which=_ANY, ends=st.sampled_from(["confirm", "release"]), other=st.none() | lists)
    def withdraw(self, which: int, ends: str, other: str | None) -> None:
        """Take an upload back; what is reserved of it is confirmed or comes back. Perhaps upload it elsewhere."""
        upload_id = self._upload_ids[which % len(self._upload_ids)]
        known = self.model.uploads.get(upload_id)
        codes = [code for each in self.model.lists.values() for code in each.codes if code.upload is known]
        if any(code.lingers for code in codes):
            # The storage may return these codes now or later.
            return
        done = self._both(
            lambda: self.vouchers.uploads.withdraw(upload_id).withdrawn,
            lambda _: self.model.withdraw(upload_id),
        )
        assert done is None or done[0] == done[1]
        for each in list(self.model.reservations.values()):
            if each.code in codes and each.code.state == RESERVED and each.code.upload.is_withdrawn:
                self._confirm(each.id) if ends == "confirm" else self._release(each.id)
        if known is not None and other is not None:
            self._upload(other, known.file.decode().splitlines())

    # --- giving ---

    @rule(user=_USERS, campaign_id=st.none() | _CAMPAIGNS, list_id=lists, key=_KEYS)
    def assign(self, user: str, campaign_id: str | None, list_id: str, key: str | None) -> None:
        """Give a user a code; `preview` said which."""
        origin = _origin(campaign_id, list_id)
        if key is None:
            self._preview(user, origin)
        done = self._both(
            lambda: self.vouchers.codes.assign(user_id=user, idempotency_key=key, **_asked(origin)),
            lambda reward: self.model.assign(user, origin, key, _hints([] if reward is None else [reward])),
        )
        if done is not None:
            expected, reward = done
            assert _answer(reward) == _modelled(expected)
            assert reward.event.voucher_code == reward.code

    @rule(
        users=st.lists(_USERS, max_size=5),
        campaign_id=st.none() | _CAMPAIGNS,
        list_id=lists,
        key=_KEYS,
        partial=st.booleans(),
    )
    def assign_many(
        self, users: list[str], campaign_id: str | None, list_id: str, key: str | None, partial: bool
    ) -> None:
        """Give many users codes, all of them or as many as there are codes."""
        origin = _origin(campaign_id, list_id)
        done = self._both(
            lambda: self.vouchers.codes.assign_many(
                users, idempotency_key=key, partial=partial, **_asked(origin)
            ),
            lambda outcome: self.model.assign_many(
                users, origin, key, partial, _hints(() if outcome is None else outcome.rewards)
            ),
        )
        if done is not None:
            (expected, unserved), outcome = done
            assert [_answer(reward) for reward in outcome.rewards] == [_modelled(each) for each in expected]
            assert list(outcome.unserved) == unserved

    @precondition(lambda self: "reservations" in self._able)
    @rule(user=_USERS, campaign_id=st.none() | _CAMPAIGNS, list_id=lists, ttl=_TTLS, key=_KEYS)
    def reserve(
        self, user: str, campaign_id: str | None, list_id: str, ttl: timedelta, key: str | None
    ) -> None:
        """Set a code aside."""
        origin = _origin(campaign_id, list_id)
        done = self._both(
            lambda: self.vouchers.codes.reserve(user_id=user, ttl=ttl, idempotency_key=key, **_asked(origin)),
            lambda found: self.model.reserve(
                user, origin, ttl, key, {} if found is None else {user: [(found.code, found.id)]}
            ),
        )
        if done is None:
            return
        (expected, replayed), found = done
        assert (found.code, found.user_id, found.replayed) == (
            expected.code.code,
            expected.user_id,
            replayed,
        )
        if isinstance(expected, Given):
            assert found.expires_at is None
            reward = self.vouchers.codes.release(found.id)
            assert reward.expires_at is None
        else:
            assert (found.id, found.expires_at, found.state) == (
                expected.id,
                expected.expires_at,
                expected.state,
            )

    @precondition(lambda self: bool(self.model.reservations))
    @rule(which=_ANY, confirms=st.booleans())
    def end_a_reservation(self, which: int, confirms: bool) -> None:
        """Confirm or release a reservation, whatever became of it."""
        reservation_id = list(self.model.reservations)[which % len(self.model.reservations)]
        self._confirm(reservation_id) if confirms else self._release(reservation_id)

    # --- taking back, and use ---

    @precondition(lambda self: "revocations" in self._able and self.model.given)
    @rule(which=_ANY, restock=st.booleans(), force=st.booleans())
    def revoke(self, which: int, restock: bool, force: bool) -> None:
        """Take a code back."""
        given = self.model.given[which % len(self.model.given)]
        is_sent = given.event_id in self._sink.ids
        done = self._both(
            lambda: self.vouchers.codes.revoke(given.id, restock=restock, force=force).restocked,
            # After an outage, the sink may have the event or not.
            lambda restocked: self.model.revoke(
                given,
                restock=restock,
                force=force,
                may_be_known=is_sent
                or not self.model.has_sink
                or (bool(self._outages) and restocked is None),
                is_sent=is_sent,
            ),
        )
        assert done is None or done[0] == done[1]

    @precondition(lambda self: "redemptions" in self._able)
    @rule(
        code=_CODES, list_id=lists, order=_ORDERS, user=st.none() | _USERS, reverts=st.booleans(), which=_ANY
    )
    def redeem_or_revert(
        self, code: str, list_id: str, order: str, user: str | None, reverts: bool, which: int
    ) -> None:
        """Record that a code was used, mostly one that a user has, or undo that."""
        if self.model.given and which % 4:
            given = self.model.given[which % len(self.model.given)]
            code, list_id = given.code.code, given.code.list_id
        redemptions = self.vouchers.redemptions
        if reverts:
            done = self._both(
                lambda: redemptions.revert(code, order, list_id=list_id).assignment_id,
                lambda _: self.model.revert(code, list_id, order).id,
            )
        else:
            done = self._both(
                lambda: redemptions.add(code, order, list_id=list_id, user_id=user).assignment_id,
                lambda _: self.model.redeem(code, list_id, order, user).id,
            )
        assert done is None or done[0] == done[1]

    @precondition(lambda self: "redemptions" in self._able)
    @rule(list_id=lists, rows=st.lists(st.tuples(_CODES, st.none() | _ORDERS), min_size=1, max_size=5))
    def reconcile(self, list_id: str, rows: list[tuple[str, str | None]]) -> None:
        """Reconcile a partner's file of redemptions."""
        file = "code,order_id\n" + "".join(f"{code},{order or ''}\n" for code, order in rows)
        done = self._both(
            lambda: self.vouchers.redemptions.upload(
                file.encode(), list_id=list_id, filename="used.csv", uploaded_by="ops"
            ),
            lambda _: self.model.reconcile(list_id, rows),
        )
        if done is not None:
            kinds, report = done
            assert [row.kind for row in report.rows] == kinds
            assert report.counts == Counter(kinds)

    @precondition(lambda self: "users" in self._able)
    @rule(user=_USERS)
    def forget_user(self, user: str) -> None:
        """Forget a user."""
        mine = [each for each in self.model.given if each.user_id == user]
        report = self.vouchers.codes.forget_user(user)
        assert report.assignments == len(mine)
        if mine:
            with self._storage.begin(write=False) as tx:
                (renamed,) = tx.assignments.get_many([mine[0].id])
            assert renamed.user_id != user
            self.model.forget(user, renamed.user_id, set(self._sink.ids))
            return
        for reserved in self.model.reservations.values():
            if reserved.user_id == user:
                with self._storage.begin(write=False) as tx:
                    found = tx.reservations.get(reserved.id)
                if found is not None:
                    self.model.forget(user, found.user_id, set(self._sink.ids))

    # --- delivery ---

    @rule(outage=st.sampled_from([False, False, False, True]))
    def deliver(self, outage: bool) -> None:
        """Deliver events to a sink, which may be away: each arrives once, and none that was cancelled."""
        self._sink.outages = int(outage)
        before = len(self._sink.ids)
        report = self.vouchers.events.deliver(self._sink)
        self._outages += int(report.failure is not None)
        self.model.has_sink = True
        self._shown.read(self._storage, self.model)
        ids = self._sink.ids
        assert len(set(ids)) == len(ids), "an event was delivered twice"
        cancelled = {each.event_id for each in self.model.given if each.cancelled}
        assert not cancelled & set(ids[before:]), "a cancelled event was delivered"
        if report.failure is None and report.paused_until is None:
            assert set(ids) | cancelled >= set(self._shown.ids), "an event was not delivered"
        self._sink.outages = 0

    # --- time, and what does not happen ---

    @rule(hours=st.sampled_from([1, 24, 31, 72]))
    def time_passes(self, hours: int) -> None:
        """Let the clock go on."""
        self._clock.advance(seconds=hours * 3600)
        self.model.now = self._clock.now
        self.model.settle()

    @rule(list_id=lists, count=st.integers(1, 3), breaks=st.booleans())
    def leave_without_commit(self, list_id: str, count: int, breaks: bool) -> None:
        """Do all sorts of things in a transaction, and crash or leave it."""
        try:
            with self._storage.begin() as tx:
                known = tx.lists.get(list_id)
                if known is not None:
                    tx.codes.take(list_id, count)
                    tx.lists.save(evolve(known, name="Lost", version=known.version + 1))
                    tx.campaigns.remove(list_id, "CMP1")
                    for upload in tx.uploads.find(list_id, None, None, 1):
                        tx.codes.withdraw(upload.id)
                tx.keys.put("key-1-lost", "fingerprint", ())
                if breaks:
                    raise _GivenUp
        except _GivenUp:
            pass

    @rule(list_id=lists, user=_USERS, key=_KEYS)
    def host_rolls_back(self, list_id: str, user: str, key: str | None) -> None:
        """Work in a transaction of a host, which rolls it back."""
        connection = self._hooks.host_connection(self._storage, self._place)
        if isinstance(connection, Unable):
            return
        with connection as host:
            inside = self.vouchers.using(host.connection)
            for change in (
                lambda: inside.codes.assign(list_id=list_id, user_id=user, idempotency_key=key),
                lambda: inside.campaigns.link(list_id, "CMP2"),
                lambda: inside.lists.archive(list_id),
            ):
                try:
                    change()
                except PartnerVouchersError:
                    continue
            host.rollback()

    @rule(restarts=st.booleans())
    def go_on_elsewhere(self, restarts: bool) -> None:
        """End the program and start it again, or go on over another connection, where the adapter is able."""
        if not restarts and self._second is not None:
            self._storage, self._second = self._second, self._storage
        elif restarts:
            opened = self._hooks.reopen(self._storage, self._place)
            self._storage = self._storage if isinstance(opened, Unable) else opened
        self.vouchers = self._library(self._storage)

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """Compare everything."""
        if self.model.lists:
            require_as_modelled(self.vouchers, self._storage, self.model, self._shown)

    # --- steps of several rules ---

    def _library(self, storage: Storage) -> PartnerVouchers:
        return PartnerVouchers(storage, duplicates=self._policy, clock=self._clock, keep_events=None)

    def _create(self, partner: str, tag: str, days: int, threshold: int | None) -> str | None:
        expires_at = self._clock.now + timedelta(days=days)
        done = self._both(
            lambda: self.vouchers.lists.create(
                partner=partner, tag=tag.upper(), name="A list", expires_at=expires_at, low_stock_at=threshold
            ),
            lambda made: self.model.create(
                None if made is None else made.id, partner, tag, "A list", expires_at, threshold
            ),
        )
        if done is None:
            return None
        assert (done[1].tag, done[1].status) == (tag, Status.ACTIVE)
        return done[1].id

    def _upload(
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

        if during is None:
            self._validate(list_id, file, codes, force)
        done = self._both(
            lambda: self.vouchers.uploads.add(
                list_id,
                file,
                filename="codes.csv",
                uploaded_by="ops",
                force=force,
                progress=work_meanwhile,
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
        self._upload_ids.append(upload.id)
        return upload

    def _validate(self, list_id: str, file: bytes, codes: list[str], force: bool) -> None:
        done = self._both(
            lambda: self.vouchers.uploads.validate(list_id, file, filename="codes.csv", force=force),
            lambda _: self.model.judge(list_id, file, codes, force=force),
        )
        if done is not None:
            verdict, found = done
            assert (found.acceptable, found.total) == (len(verdict.accepted), len(codes))
            assert found.errors == verdict.errors

    def _preview(self, user: str, origin: Origin) -> None:
        done = self._both(
            lambda: self.vouchers.codes.preview(user_id=user, **_asked(origin)),
            lambda _: self.model.preview(user, origin),
        )
        if done is not None:
            expected, found = done
            assert _previewed(found) == expected

    def _confirm(self, reservation_id: str) -> None:
        done = self._both(
            lambda: self.vouchers.codes.confirm(reservation_id),
            lambda reward: self.model.confirm(reservation_id, None if reward is None else reward.id),
        )
        assert done is None or _answer(done[1]) == _modelled(done[0])

    def _release(self, reservation_id: str) -> None:
        done: tuple[Any, Reservation] | None = self._both(
            lambda: self.vouchers.codes.release(reservation_id), lambda _: self.model.release(reservation_id)
        )
        assert done is None or done[1].state is done[0].state

    def _both(self, of_library: Callable[[], T], of_model: Callable[[T | None], U]) -> tuple[U, T] | None:
        """Call both, and return what they say; None where both refuse, with the same error."""
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


class _GivenUp(Exception):
    """A host gives up in the middle of something."""


def _is_able(tx: Transaction, ability: str) -> bool:
    try:
        getattr(tx, ability)
    except Unsupported:
        return False
    return True


def _origin(campaign_id: str | None, list_id: str) -> Origin:
    return campaign_id, None if campaign_id is not None else list_id


def _asked(origin: Origin) -> dict[str, Any]:
    return {"campaign_id": origin[0], "list_id": origin[1]}


def _hints(rewards: Iterable[Reward]) -> Hints:
    hints: Hints = {}
    for each in rewards:
        if not each.replayed:
            hints.setdefault(each.user_id, []).append((each.code, each.id))
    return hints


def _answer(reward: Reward) -> tuple[object, ...]:
    return reward.id, reward.list_id, reward.code, reward.user_id, reward.campaign_id, reward.replayed


def _modelled(expected: tuple[Given, bool]) -> tuple[object, ...]:
    given, replayed = expected
    code = given.code
    return given.id, code.list_id, code.code, given.user_id, given.campaign_id, replayed


def _previewed(found: Preview) -> tuple[str, object]:
    if found.refusal is not None:
        return "refusal", type(found.refusal)
    if found.replay is not None:
        return "replay", found.replay.id
    if found.reservation is not None:
        return "reservation", found.reservation.user_id
    return "list", found.list_id
