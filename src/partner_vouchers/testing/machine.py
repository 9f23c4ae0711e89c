"""Any sequence of operations on a storage, compared with a model after each step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.errors import StaleVersion, StorageError, Unsupported
from partner_vouchers.testing import driver, model, strategies
from partner_vouchers.testing.hooks import StorageHooks, Unable, must_raise
from partner_vouchers.testing.modelled import CAMPAIGNS, SCOPES, ModelledStorage, Running

_USERS = st.sampled_from(["user-1", "user-2", "user-3"])
_CAMPAIGNS = st.sampled_from(CAMPAIGNS)
_KEYS = st.none() | st.sampled_from(["order-1", "order-2"])


class StorageMachine(RuleBasedStateMachine):
    """Does anything in any order: changes, stale saves, uploads that overlap, crashes, jumps of the clock.

    `StorageContract` runs it. To search longer, run it yourself:

        run_state_machine_as_test(lambda: StorageMachine(TestMyStorage()), settings=settings(max_examples=2000))
    """

    lists: Bundle[str] = Bundle("lists")
    running: Bundle[Running] = Bundle("running")
    uploads: Bundle[str] = Bundle("uploads")

    def __init__(self, hooks: StorageHooks) -> None:
        """Take the hooks of the adapter: an object of the class that subclasses `StorageContract`."""
        super().__init__()
        self._hooks = hooks
        self._directory = TemporaryDirectory(ignore_cleanup_errors=True)
        self._place = Path(self._directory.name)
        self._both = ModelledStorage(hooks.new_storage(self._place))
        self.model: model.Row = self._both.model
        with self._both.storage.begin(write=False) as tx:
            try:
                self._redeems = tx.redemptions is not None
            except Unsupported:
                self._redeems = False

    def teardown(self) -> None:
        """Let go of the storage."""
        for each in self._both.imports:
            each.stack.close()
        self._hooks.close(self._both.storage)
        self._directory.cleanup()

    # --- lists ---

    @initialize(target=lists, files=st.lists(strategies.code_lists(), min_size=2, max_size=2))
    def begin_with_two_lists(self, files: list[list[str]]) -> Any:
        """Begin with two lists of one scope that have codes, and a campaign."""
        made = [self._both.create("a"), self._both.create("b")]
        for list_id, codes in zip(made, files, strict=True):
            if codes:
                self._both.upload(list_id, codes)
        self._both.link(made[0], "CMP1", 0)
        return multiple(*made)

    @rule(target=lists, tag=st.sampled_from(sorted(SCOPES)))
    def create(self, tag: str) -> Any:
        """Create a list, unless its tag is taken."""
        taken = any((each["tag"], each["state"] == "Archived") == (tag, False) for each in self._both.lists())
        if taken:
            must_raise(StorageError, lambda: self._both.create(tag))
            return multiple()
        return self._both.create(tag)

    @rule(
        list_id=lists,
        state=st.sampled_from([State.ACTIVE, State.PAUSED]),
        days=st.integers(-1, 5) | st.none(),
    )
    def change(self, list_id: str, state: State, days: int | None) -> None:
        """Pause or activate a list, or move its expiry."""
        each = self.model["lists"][list_id]
        if each["state"] == "Archived":
            return
        expires_at = None if days is None else self.model["now"] + timedelta(days=days)
        self._both.change(list_id, state=state, expires_at=expires_at)

    @rule(list_id=lists)
    def archive(self, list_id: str) -> None:
        """Archive a list, while others are left to go on with."""
        left = [each for each in self._both.lists() if each["state"] != "Archived"]
        each = self.model["lists"][list_id]
        if each in left and len(left) > 1:
            self._both.change(list_id, state=State.ARCHIVED)

    @rule(list_id=lists, behind=st.integers(0, 3), crash=st.booleans())
    def save_stale(self, list_id: str, behind: int, crash: bool) -> None:
        """Save a list as somebody would who read it some versions ago, or who is ahead of all."""
        found = driver.stored(self._both.storage, list_id)
        version = found.version - behind if behind else found.version + 2
        with pytest.raises(StaleVersion) as stale, self._both.storage.begin() as tx:
            tx.lists.save(evolve(found, name="stale", state=State.PAUSED, version=version))
            if not crash:
                tx.commit()
        assert stale.value.actual == found.version

    @rule(list_id=lists, campaign=_CAMPAIGNS, priority=st.integers(0, 1))
    def link(self, list_id: str, campaign: str, priority: int) -> None:
        """Link a list to a campaign, or change the link."""
        if self.model["lists"][list_id]["state"] != "Archived":
            self._both.link(list_id, campaign, priority)

    @rule(list_id=lists, campaign=_CAMPAIGNS)
    def unlink(self, list_id: str, campaign: str) -> None:
        """Remove a link, if there is one."""
        self._both.unlink(list_id, campaign)

    # --- uploads ---

    @rule(target=uploads, list_id=lists, codes=strategies.code_lists().filter(bool))
    def upload_whole(self, list_id: str, codes: list[str]) -> Any:
        """Upload a file at one go."""
        scope = self._both.scope_lease(list_id)
        if self.model["lists"][list_id]["state"] == "Archived" or self._both.lease_of(scope) is not None:
            return multiple()
        return self._both.upload(list_id, codes)

    @precondition(lambda self: len(self._both.imports) < 2)
    @rule(target=running, list_id=lists, codes=strategies.code_lists().filter(bool))
    def begin_upload(self, list_id: str, codes: list[str]) -> Any:
        """Begin an upload beside others."""
        if self.model["lists"][list_id]["state"] == "Archived":
            return multiple()
        return self._both.begin_upload(list_id, codes)

    @rule(run=running)
    def claim(self, run: Running) -> None:
        """Claim the codes of an upload, where its scope is free."""
        if run in self._both.imports and run.accepted is None and self._both.take_lease(run):
            self._both.claim(run)

    @rule(target=uploads, run=consumes(running))
    def publish(self, run: Running) -> Any:
        """End an upload that has claimed its codes; it fails where somebody else has its lease by now."""
        if run not in self._both.imports:
            return multiple()
        if run.accepted is None:
            self._both.give_up(run)
            return multiple()
        holder, _ = self.model["leases"].get(self._both.scope_lease(run.entry.list_id), (None, None))
        if holder == run.entry.id:
            return self._both.publish(run)
        self._both.publish_without_lease(run)
        return multiple()

    @rule(run=consumes(running))
    def break_off(self, run: Running) -> None:
        """Give an upload up on the way."""
        if run in self._both.imports:
            self._both.give_up(run)

    @rule(upload_id=uploads)
    def withdraw(self, upload_id: str) -> None:
        """Take back the codes of an upload that nobody has."""
        self._both.withdraw(upload_id)

    # --- assignment ---

    @rule(user=_USERS, campaign=_CAMPAIGNS, key=_KEYS, again=st.booleans())
    def assign_from_campaign(self, user: str, campaign: str, key: str | None, again: bool) -> None:
        """Give a user a code of a campaign."""
        self._both.assign(user, ("campaign", campaign), key, again)

    @rule(user=_USERS, list_id=lists, key=_KEYS, again=st.booleans())
    def assign_from_list(self, user: str, list_id: str, key: str | None, again: bool) -> None:
        """Give a user a code of a list."""
        self._both.assign(user, ("list", list_id), key, again)

    @rule(user=_USERS, list_id=lists, limit=st.integers(1, 3))
    def crash_before_commit(self, user: str, list_id: str, limit: int) -> None:
        """Do all sorts of things in a transaction, and crash."""
        with pytest.raises(_Crash), self._both.storage.begin() as tx:
            tx.codes.take(list_id, limit)
            found = tx.lists.get(list_id)
            assert found is not None
            tx.lists.save(evolve(found, name="lost", version=found.version + 1))
            tx.campaigns.put(driver.a_link(list_id, "CMP2"))
            tx.keys.put("lost", "fingerprint", ())
            tx.settings.put("lost", user)
            for upload in tx.uploads.find(list_id, None, None, 1):
                tx.codes.withdraw(upload.id)
            raise _Crash

    # --- redemption ---

    @precondition(lambda self: self._redeems)
    @rule(list_id=lists, index=st.integers(0, 9), order_id=st.sampled_from(["order-1", "order-2"]))
    def use(self, list_id: str, index: int, order_id: str) -> None:
        """Redeem a code, revert its redemption, or retire it where nobody has it."""
        self._both.use(list_id, index, order_id)

    # --- delivery ---

    @rule(limit=st.integers(1, 3), crash=st.booleans())
    def deliver(self, limit: int, crash: bool) -> None:
        """Deliver events to a sink, and keep how far it has come; or crash before that."""
        self._both.deliver(limit, crash=crash)

    # --- time, and the end of a process ---

    @rule(seconds=st.sampled_from([0.000001, 20, 40, 86_400, 172_800, -40]))
    def jump(self, seconds: float) -> None:
        """Let the clock jump, also backwards."""
        self.model["now"] += timedelta(seconds=seconds)

    @rule()
    def reopen(self) -> None:
        """End the program, and start it again, where the adapter is able."""
        while self._both.imports:
            self._both.give_up(self._both.imports[0])
        opened = self._hooks.reopen(self._both.storage, self._place)
        if not isinstance(opened, Unable):
            self._both.storage = opened

    # --- what must be so ---

    @invariant()
    def the_storage_shows_what_the_model_says(self) -> None:
        """Compare everything."""
        self._both.compare()


class _Crash(Exception):
    """The end of a process in the middle of a transaction."""
