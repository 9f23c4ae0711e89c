"""Any sequence of calls of the library on a storage, compared with a model after each step."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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

from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.duplicates import DuplicatePolicy, PerPartnerAndTag
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.reservation import ReservationState
from partner_vouchers.errors import PartnerVouchersError
from partner_vouchers.testing.calling import Calls, of
from partner_vouchers.testing.comparing import Shown, require_as_modelled
from partner_vouchers.testing.fakes import FailingSink
from partner_vouchers.testing.hooks import StorageHooks, UnsupportedHook, abilities
from partner_vouchers.testing.model import RESERVED
from partner_vouchers.testing.model_of_codes import Model
from partner_vouchers.testing.model_of_requests import Origin
from partner_vouchers.vouchers import PartnerVouchers

_USERS = st.sampled_from(["ann", "bob", "cid", "dee"])
_CODES = st.sampled_from([f"C{number:02}" for number in range(1, 17)])
_FILES = st.lists(_CODES | _CODES | _CODES | _CODES | st.just("BAD CODE"), min_size=1, max_size=8)
_PARTNERS, _TAGS = st.sampled_from(["Puma", "Amazon"]), st.sampled_from(["sale", "vip"])
_CAMPAIGNS = st.sampled_from(["CMP1", "CMP2"])
_KEYS = st.sampled_from([None, None, None, "key-1", "key-2", "key-3"])
_REPEATS, _PRIORITIES = st.sampled_from(RepeatPolicy), st.integers(0, 2)
_THRESHOLDS = st.sampled_from([None, 0, 1, 2])
_ORDERS = st.sampled_from(["order-1", "order-2"])
_SELDOM = st.sampled_from([False, False, False, True])
_ANY = st.integers(0, 99)
_ENDS = {True: "codes.confirm", False: "codes.release"}
_DAY = Limit(2, per="campaign", period="day", zone="UTC")
_LIMITS = st.sampled_from(
    [[], [Limit(1, per="user")], [Limit(3, per="campaign")], [_DAY, Limit(2, per="user")], [_DAY]]
)
_TTLS = st.sampled_from([timedelta(minutes=5), timedelta(hours=30), timedelta(days=30)])
_CHANGES = st.one_of(
    st.tuples(st.just("expires_at"), st.integers(-1, 9)),
    st.tuples(st.just("low_stock_at"), _THRESHOLDS),
    st.tuples(st.just("name"), st.sampled_from(["A list", "Another"])),
)


class StorageMachine(RuleBasedStateMachine):
    """Calls the library in any order: all that can become of a code, crashes, joined transactions, jumps of the clock.

    `StorageContract` runs it. To search longer, run it yourself:

        run_state_machine_as_test(lambda: StorageMachine(TestMyStorage()), settings=settings(max_examples=2000))
    """

    lists: Bundle[str] = Bundle("lists")
    origins: st.SearchStrategy[Origin] = st.one_of(
        st.tuples(_CAMPAIGNS, st.none()), st.tuples(st.none(), lists)
    )

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
        self._storage = hooks.new_storage(self._place)
        second = hooks.second_connection(self._storage, self._place)
        self._second = None if isinstance(second, UnsupportedHook) else second
        self._calls = Calls(self._storage, duplicates or PerPartnerAndTag())
        self._same = self._calls.same
        self._sink = FailingSink("sink")
        self._abilities = abilities(self._storage)
        self._shown = Shown(self._abilities)

    @property
    def vouchers(self) -> PartnerVouchers:
        """The library."""
        return self._calls.vouchers

    @property
    def model(self) -> Model:
        """The model of what it should say."""
        return self._calls.model

    def teardown(self) -> None:
        """Let go of the storage."""
        for each in (self._second, self._storage):
            if each is not None:
                self._hooks.close(each)
        self._directory.cleanup()

    # --- partners and lists ---

    @initialize(target=lists, files=st.tuples(_FILES, _FILES), repeat=_REPEATS, priority=_PRIORITIES)
    def begin(self, files: tuple[list[str], list[str]], repeat: RepeatPolicy, priority: int) -> Any:
        """Begin in the middle: lists of one partner, and of one tag, that have codes and serve a campaign."""
        for name in ("Puma", "Amazon"):
            self.add_partner(name)
        asked = (("Puma", "sale", 4, 1), ("Puma", "vip", 7, None), ("Amazon", "sale", 5, None))
        lists = [each for each in (self._calls.create(*each) for each in asked) if each is not None]
        for list_id, file in zip(lists, files, strict=False):
            self._calls.upload(list_id, file)
        # The younger list first, so that age alone does not tell the order.
        self.link(lists[1], "CMP1", repeat, priority)
        self.link(lists[0], "CMP1", repeat, 1)
        return multiple(*lists)

    @rule(name=_PARTNERS)
    def add_partner(self, name: str) -> None:
        """Add a partner, which may be there."""
        self._same("partners.add", name)

    @rule(target=lists, partner=_PARTNERS, tag=_TAGS, days=st.integers(1, 9), threshold=_THRESHOLDS)
    def create(self, partner: str, tag: str, days: int, threshold: int | None) -> Any:
        """Create a list, unless its tag is taken."""
        return self._calls.create(partner, tag, days, threshold) or multiple()

    @rule(list_id=lists, contrary=_SELDOM)
    def pause_or_activate(self, list_id: str, contrary: bool) -> None:
        """Do what a list is due for, or now and then what it is not."""
        known = self.model.lists.get(list_id)
        is_paused = known is not None and known.paused
        self._same("lists.pause" if is_paused is contrary else "lists.activate", list_id)

    @rule(target=lists, list_id=lists, extra=st.lists(_CODES, max_size=3), again=st.booleans())
    def archive(self, list_id: str, extra: list[str], again: bool) -> Any:
        """Archive a list, and perhaps upload its codes to the one that follows: they are free at once."""
        self._same("lists.archive", list_id)
        known = self.model.lists.get(list_id)
        created = (
            self._calls.create(known.partner, known.tag, 6, None) if again and known is not None else None
        )
        if created is None or known is None:
            return multiple()
        self._calls.upload(created, [code.code for code in known.codes] + extra or ["C01"])
        return created

    @rule(list_id=lists, really=_SELDOM)
    def delete(self, list_id: str, really: bool) -> None:
        """Delete a list, unless a code was given out; one that nothing keeps only now and then."""
        reserved = [each for each in self.model.reservations.values() if each.code.list_id == list_id]
        over = (ReservationState.EXPIRED, ReservationState.RELEASED)
        # What becomes of reservations that are over when their list goes is the storage's affair.
        if (really or self.model.campaigns_of(list_id)) and not any(each.state in over for each in reserved):
            self._same("lists.delete", list_id)

    @rule(list_id=lists, change=_CHANGES, behind=st.none() | st.integers(0, 2))
    def edit(self, list_id: str, change: tuple[str, Any], behind: int | None) -> None:
        """Change a list, perhaps based on an old version."""
        name, value = change
        if name == "expires_at":
            value = self._calls.clock.now + timedelta(days=value)
        known = self.model.lists.get(list_id)
        version = None if behind is None else 1 if known is None else known.version - behind
        self._same("lists.edit", list_id, version=version, **{name: value})

    # --- campaigns ---

    @rule(list_id=lists, campaign_id=_CAMPAIGNS, repeat=_REPEATS, priority=_PRIORITIES)
    def link(self, list_id: str, campaign_id: str, repeat: RepeatPolicy, priority: int) -> None:
        """Link a list to a campaign, or change the link."""
        self._same("campaigns.link", list_id, campaign_id, repeat=repeat, priority=priority)

    @rule(list_id=lists, campaign_id=_CAMPAIGNS)
    def unlink(self, list_id: str, campaign_id: str) -> None:
        """End a link, if there is one."""
        self._same("campaigns.unlink", list_id, campaign_id)

    @precondition(lambda self: "limits" in self._abilities)
    @rule(campaign_id=_CAMPAIGNS, limits=_LIMITS)
    def set_limits(self, campaign_id: str, limits: list[Limit]) -> None:
        """Replace the limits of a campaign."""
        self._same("campaigns.set_limits", campaign_id, limits)

    # --- uploads ---

    @rule(list_id=lists, codes=_FILES, force=st.booleans(), meanwhile=st.none() | _FILES, other=lists)
    def upload(
        self, list_id: str, codes: list[str], force: bool, meanwhile: list[str] | None, other: str
    ) -> None:
        """Upload a file; another one may be uploaded as a whole while this one is read."""
        is_alone = meanwhile is None or other == list_id
        during = None if is_alone else lambda: self._calls.upload(other, meanwhile or [])
        self._calls.upload(list_id, codes, force, during)

    @rule(list_id=lists, codes=_FILES)
    def break_an_upload_off(self, list_id: str, codes: list[str]) -> None:
        """Give an upload up while its file is read: nothing of it remains but its entry, which failed."""

        def give_up() -> None:
            raise _GivenUp

        try:
            self._calls.upload(list_id, codes, True, give_up)
        except _GivenUp:
            self.model.events.append(("upload.failed", list_id))

    @rule(list_id=lists, code=_CODES)
    def upload_what_was_explained(self, list_id: str, code: str) -> None:
        """Upload a code as `explain_duplicate` says."""
        self._calls.upload_as_explained(list_id, code)

    @rule(
        which=_ANY,
        hours=st.sampled_from([0, 31]),
        confirms=st.none() | st.booleans(),
        other=st.none() | lists,
    )
    def withdraw(self, which: int, hours: int, confirms: bool | None, other: str | None) -> None:
        """Take an upload back after a while, and perhaps upload its file elsewhere.

        What is reserved of it runs out before or afterwards, is confirmed, or is released.
        """
        self.time_passes(hours)
        upload_id = self._calls.upload_ids[which % len(self._calls.upload_ids)]
        known = self.model.uploads.get(upload_id)
        codes = [code for each in self.model.lists.values() for code in each.codes if code.upload is known]
        self._same("uploads.withdraw", upload_id)
        for each in list(self.model.reservations.values()):
            is_left = each.code in codes and each.code.state == RESERVED and each.code.upload.is_withdrawn
            if is_left and confirms is not None:
                self._same(_ENDS[confirms], each.id)
        if confirms is None:
            self.time_passes(31)
        if known is not None and other is not None:
            self._calls.upload(other, known.file.decode().splitlines())

    # --- giving ---

    @rule(user=_USERS, origin=origins, key=_KEYS)
    def assign(self, user: str, origin: Origin, key: str | None) -> None:
        """Give a user a code; `preview` said which."""
        self._calls.assign(user, origin, key)

    @rule(users=st.lists(_USERS, max_size=5), origin=origins, key=_KEYS, partial=st.booleans())
    def assign_many(self, users: list[str], origin: Origin, key: str | None, partial: bool) -> None:
        """Give many users codes, all of them or as many as there are codes."""
        self._same("codes.assign_many", users, idempotency_key=key, partial=partial, **of(origin))

    @precondition(lambda self: "reservations" in self._abilities)
    @rule(user=_USERS, origin=origins, ttl=_TTLS, key=_KEYS)
    def reserve(self, user: str, origin: Origin, ttl: timedelta, key: str | None) -> None:
        """Set a code aside."""
        found = self._same("codes.reserve", user_id=user, ttl=ttl, idempotency_key=key, **of(origin))
        if found is not None and found.expires_at is None:
            assert self.vouchers.codes.release(found.id).expires_at is None

    @precondition(lambda self: bool(self.model.reservations))
    @rule(which=_ANY, confirms=st.booleans())
    def end_a_reservation(self, which: int, confirms: bool) -> None:
        """Confirm or release a reservation, whatever became of it."""
        self._same(_ENDS[confirms], list(self.model.reservations)[which % len(self.model.reservations)])

    # --- taking back, and use ---

    @precondition(lambda self: "revocations" in self._abilities and self.model.given)
    @rule(which=_ANY, restock=st.booleans(), force=st.booleans())
    def revoke(self, which: int, restock: bool, force: bool) -> None:
        """Take a code back."""
        given = self.model.given[which % len(self.model.given)]
        self._same("codes.revoke", given.id, restock=restock, force=force)

    @precondition(lambda self: "redemptions" in self._abilities)
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
        of_user = {} if reverts else {"user_id": user}
        self._same(
            "redemptions.revert" if reverts else "redemptions.add", code, order, list_id=list_id, **of_user
        )

    @precondition(lambda self: "redemptions" in self._abilities)
    @rule(list_id=lists, rows=st.lists(st.tuples(_CODES, st.none() | _ORDERS), min_size=1, max_size=5))
    def reconcile(self, list_id: str, rows: list[tuple[str, str | None]]) -> None:
        """Reconcile a partner's file of redemptions."""
        file = "code,order_id\n" + "".join(f"{code},{order or ''}\n" for code, order in rows)
        about = {"list_id": list_id, "filename": "used.csv", "uploaded_by": "ops"}
        self._same("redemptions.upload", file.encode(), **about)

    @precondition(lambda self: "users" in self._abilities)
    @rule(user=_USERS)
    def forget_user(self, user: str) -> None:
        """Forget a user: their codes and reservations now belong to a pseudonym."""
        mine = [each.id for each in self.model.given if each.user_id == user]
        reserved = [each.id for each in self.model.reservations.values() if each.user_id == user]
        assert self.vouchers.codes.forget_user(user).assignments == len(mine)
        with self._storage.begin(write=False) as tx:
            kept = [tx.reservations.get(each) for each in reserved]
            names = {each.user_id for each in tx.assignments.get_many(mine)}
            names |= {each.user_id for each in kept if each is not None}
        assert user not in names
        if names:
            (pseudonym,) = names
            self.model.forget(user, pseudonym)

    # --- delivery ---

    @rule(outage=_SELDOM)
    def deliver(self, outage: bool) -> None:
        """Deliver events to a sink, which may be away: each arrives once, and none that was cancelled."""
        self._sink.outages = int(outage)
        before = len(self._sink.ids)
        report = self.vouchers.events.deliver(self._sink)
        self._sink.outages = 0
        self.model.outages += int(report.failure is not None)
        self.model.has_sink, self.model.sent = True, set(self._sink.ids)
        self._shown.read(self._storage, self.model)
        ids = self._sink.ids
        assert len(set(ids)) == len(ids), "an event was delivered twice"
        cancelled = {each.event_id for each in self.model.given if each.cancelled}
        assert not cancelled & set(ids[before:]), "a cancelled event was delivered"
        # After an outage, events wait for their next attempt.
        if report.failure is None and report.paused_until is None and not report.deferred:
            assert set(ids) | cancelled >= set(self._shown.ids), "an event was not delivered"

    @rule(hours=st.sampled_from([1, 24, 31, 72]))
    def time_passes(self, hours: int) -> None:
        """Let the clock go on."""
        self._calls.clock.advance(seconds=hours * 3600)
        self.model.now = self._calls.clock.now
        self.model.settle()

    @rule(list_id=lists, count=st.integers(1, 3), breaks=st.booleans())
    def leave_without_commit(self, list_id: str, count: int, breaks: bool) -> None:
        """Do all sorts of things in a transaction, and crash or leave it."""
        with suppress(_GivenUp), self._storage.begin() as tx:
            known = tx.lists.get(list_id)
            if known is not None:
                tx.codes.take(list_id, count)
                tx.lists.save(evolve(known, name="Lost", version=known.version + 1))
                tx.campaigns.remove(list_id, "CMP1")
                for upload in tx.uploads.find(list_id, None, None, 1):
                    tx.codes.withdraw(upload.id)
            tx.keys.put("key-lost", "fingerprint", ())
            if breaks:
                raise _GivenUp

    @rule(list_id=lists, user=_USERS, key=_KEYS)
    def host_rolls_back(self, list_id: str, user: str, key: str | None) -> None:
        """Work in a transaction of a host, which rolls it back."""
        connection = self._hooks.host_connection(self._storage, self._place)
        if isinstance(connection, UnsupportedHook):
            return
        with connection as host:
            inside = self.vouchers.using(host.connection)
            for change in (
                lambda: inside.codes.assign(list_id=list_id, user_id=user, idempotency_key=key),
                lambda: inside.campaigns.link(list_id, "CMP2"),
                lambda: inside.lists.archive(list_id),
            ):
                with suppress(PartnerVouchersError):
                    change()
            host.rollback()

    @rule(restarts=st.booleans())
    def go_on_elsewhere(self, restarts: bool) -> None:
        """End the program and start it again, or go on over another connection, if the adapter can."""
        if not restarts and self._second is not None:
            self._storage, self._second = self._second, self._storage
        elif restarts:
            opened = self._hooks.reopen(self._storage, self._place)
            self._storage = self._storage if isinstance(opened, UnsupportedHook) else opened
        self._calls.use(self._storage)

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """Compare everything."""
        if self.model.lists:
            require_as_modelled(self.vouchers, self._storage, self.model, self._shown)


class _GivenUp(Exception):
    """A host gives up in the middle of something."""
