"""Any sequence of operations on a storage, compared with a model after each step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import define, evolve, field
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

from partner_vouchers.domain.delivery import Progress, lane_of_key
from partner_vouchers.domain.events import user_key
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import Tally, Upload, interrupted
from partner_vouchers.errors import (
    CodesExhausted,
    IdempotencyConflict,
    NoActiveList,
    StaleVersion,
    StorageError,
    UploadInterrupted,
)
from partner_vouchers.ports import CodeImport, Storage, Transaction
from partner_vouchers.testing import driver, model, strategies
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import StorageHooks, Unable, must_raise

SCOPES = {"a": "first", "b": "first", "c": "second"}
USERS = st.sampled_from(["user-1", "user-2", "user-3"])
CAMPAIGNS = st.sampled_from(["CMP1", "CMP2"])
KEYS = st.none() | st.sampled_from(["order-1", "order-2"])
LEASE = timedelta(seconds=30)


@define
class Running:
    """An upload whose codes are on their way.

    Attributes:
        entry: its entry.
        codes: the codes of its file.
        opened: the import.
        stack: gives the import up when it is closed.
        accepted: the codes that it claimed, or None before that.
    """

    entry: Upload
    codes: list[str] = field(repr=False)
    opened: CodeImport
    stack: ExitStack
    accepted: list[str] | None = field(default=None, repr=False)


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
        self._storage: Storage = hooks.new_storage(self._place)
        self._imports: list[Running] = []
        self.model: model.Row = model.new_model(START)

    def teardown(self) -> None:
        """Let go of the storage."""
        for each in self._imports:
            each.stack.close()
        self._hooks.close(self._storage)
        self._directory.cleanup()

    # --- lists ---

    @initialize(target=lists, files=st.lists(strategies.code_lists(), min_size=2, max_size=2))
    def begin_with_two_lists(self, files: list[list[str]]) -> Any:
        """Begin with two lists of one scope that have codes, and a campaign."""
        made = [self._create("a"), self._create("b")]
        for list_id, codes in zip(made, files, strict=True):
            if codes:
                self.upload(list_id, codes)
        self.link(made[0], "CMP1", 0)
        return multiple(*made)

    @rule(target=lists, tag=st.sampled_from(sorted(SCOPES)))
    def create(self, tag: str) -> Any:
        """Create a list, unless its tag is taken."""
        taken = any((each["tag"], each["state"] == "Archived") == (tag, False) for each in self._lists())
        if taken:
            must_raise(StorageError, lambda: self._create(tag))
            return multiple()
        return self._create(tag)

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
        expires_at = each["expires_at"] if days is None else self.model["now"] + timedelta(days=days)
        saved = driver.change(self._storage, list_id, state=state, expires_at=expires_at)
        each |= {"state": state.value, "expires_at": expires_at, "version": saved.version}

    @rule(list_id=lists)
    def archive(self, list_id: str) -> None:
        """Archive a list, while others are left to go on with."""
        left = [each for each in self._lists() if each["state"] != "Archived"]
        each = self.model["lists"][list_id]
        if each in left and len(left) > 1:
            saved = driver.change(self._storage, list_id, state=State.ARCHIVED)
            each |= {"state": "Archived", "version": saved.version}

    @rule(list_id=lists, behind=st.integers(0, 3), crash=st.booleans())
    def save_stale(self, list_id: str, behind: int, crash: bool) -> None:
        """Save a list as somebody would who read it some versions ago, or who is ahead of all."""
        found = driver.stored(self._storage, list_id)
        version = found.version - behind if behind else found.version + 2
        with pytest.raises(StaleVersion) as stale, self._storage.begin() as tx:
            tx.lists.save(evolve(found, name="stale", state=State.PAUSED, version=version))
            if not crash:
                tx.commit()
        assert stale.value.actual == found.version

    @rule(list_id=lists, campaign=CAMPAIGNS, priority=st.integers(0, 1))
    def link(self, list_id: str, campaign: str, priority: int) -> None:
        """Link a list to a campaign, or change the link."""
        if self.model["lists"][list_id]["state"] == "Archived":
            return
        driver.in_transaction(
            self._storage, lambda tx: tx.campaigns.put(driver.a_link(list_id, campaign, priority=priority))
        )
        for known in self.model["links"]:
            if (known["list"], known["campaign"]) == (list_id, campaign):
                known["priority"] = priority
                return
        self.model["links"].append({"list": list_id, "campaign": campaign, "priority": priority})

    @rule(list_id=lists, campaign=CAMPAIGNS)
    def unlink(self, list_id: str, campaign: str) -> None:
        """Remove a link, if there is one."""
        removed = driver.in_transaction(self._storage, lambda tx: tx.campaigns.remove(list_id, campaign))
        kept = [
            link for link in self.model["links"] if (link["list"], link["campaign"]) != (list_id, campaign)
        ]
        assert removed is (len(kept) < len(self.model["links"]))
        self.model["links"] = kept

    # --- uploads ---

    @rule(target=uploads, list_id=lists, codes=strategies.code_lists().filter(bool))
    def upload_whole(self, list_id: str, codes: list[str]) -> Any:
        """Upload a file at one go."""
        scope = self._scope_lease(list_id)
        if self.model["lists"][list_id]["state"] == "Archived" or self._lease_of(scope) is not None:
            return multiple()
        return self.upload(list_id, codes)

    def upload(self, list_id: str, codes: list[str]) -> str:
        """Upload a file, of which the model says what is accepted."""
        run = self._begin(list_id, codes)
        assert self._take_lease(run)
        self._claim(run)
        return self._publish(run)

    @precondition(lambda self: len(self._imports) < 2)
    @rule(target=running, list_id=lists, codes=strategies.code_lists().filter(bool))
    def begin_upload(self, list_id: str, codes: list[str]) -> Any:
        """Begin an upload beside others."""
        if self.model["lists"][list_id]["state"] == "Archived":
            return multiple()
        return self._begin(list_id, codes)

    @rule(run=running)
    def claim(self, run: Running) -> None:
        """Claim the codes of an upload, where its scope is free."""
        if run in self._imports and run.accepted is None and self._take_lease(run):
            self._claim(run)

    @rule(target=uploads, run=consumes(running))
    def publish(self, run: Running) -> Any:
        """End an upload that has claimed its codes; it fails where somebody else has its lease by now."""
        if run not in self._imports:
            return multiple()
        if run.accepted is None:
            self._give_up(run)
            return multiple()
        holder, _ = self.model["leases"].get(self._scope_lease(run.entry.list_id), (None, None))
        if holder == run.entry.id:
            return self._publish(run)
        with pytest.raises(UploadInterrupted), self._storage.begin() as tx:
            self._keep_alive(run)(tx)
            run.opened.publish(tx)
            tx.commit()
        self._give_up(run)
        return multiple()

    @rule(run=consumes(running))
    def break_off(self, run: Running) -> None:
        """Give an upload up on the way."""
        if run in self._imports:
            self._give_up(run)

    @rule(upload_id=uploads)
    def withdraw(self, upload_id: str) -> None:
        """Take back the codes of an upload that nobody has."""
        taken_back = driver.in_transaction(self._storage, lambda tx: tx.codes.withdraw(upload_id))
        left = [
            code
            for each in self._lists()
            for code in each["codes"]
            if code["upload"] == upload_id and code["state"] == "left"
        ]
        assert taken_back == len(left)
        for code in left:
            code["state"] = "withdrawn"

    # --- assignment ---

    @rule(user=USERS, campaign=CAMPAIGNS, key=KEYS, again=st.booleans())
    def assign_from_campaign(self, user: str, campaign: str, key: str | None, again: bool) -> None:
        """Give a user a code of a campaign."""
        self._assign(user, ("campaign", campaign), key, again)

    @rule(user=USERS, list_id=lists, key=KEYS, again=st.booleans())
    def assign_from_list(self, user: str, list_id: str, key: str | None, again: bool) -> None:
        """Give a user a code of a list."""
        self._assign(user, ("list", list_id), key, again)

    @rule(user=USERS, list_id=lists, limit=st.integers(1, 3))
    def crash_before_commit(self, user: str, list_id: str, limit: int) -> None:
        """Do all sorts of things in a transaction, and crash."""
        with pytest.raises(_Crash), self._storage.begin() as tx:
            tx.codes.take(list_id, limit)
            found = tx.lists.get(list_id)
            assert found is not None
            tx.lists.save(evolve(found, name="lost", version=found.version + 1))
            tx.campaigns.put(driver.a_link(list_id, "CMP2"))
            tx.keys.put("lost", "fingerprint", ())
            tx.settings.put("lost", user)
            for upload in tx.uploads.of_list(list_id, None, 1):
                tx.codes.withdraw(upload.id)
            raise _Crash

    # --- delivery ---

    @rule(who=USERS | st.just(""), limit=st.integers(1, 3), crash=st.booleans())
    def deliver(self, who: str, limit: int, crash: bool) -> None:
        """Deliver events of a lane to a sink, and keep how far it has come; or crash before that."""
        lane = lane_of_key(user_key(who)) if who else lane_of_key("")
        with self._storage.begin() as tx:
            progress = tx.deliveries.progress("sink").get(lane, Progress())
            entries, reached = tx.outbox.read_lane(lane, progress.position, limit)
            positions = [entry.position for entry in entries]
            progress = progress.settle(positions, reached, positions)
            tx.deliveries.save_progress("sink", lane, progress)
            if crash:
                return
            tx.commit()
        self.model["progress"][lane] = progress
        self.model["delivered"].setdefault(lane, []).extend(entry.id for entry in entries)

    # --- time, and the end of a process ---

    @rule(seconds=st.sampled_from([0.000001, 20, 40, 86_400, 172_800, -40]))
    def jump(self, seconds: float) -> None:
        """Let the clock jump, also backwards."""
        self.model["now"] += timedelta(seconds=seconds)

    @rule()
    def reopen(self) -> None:
        """End the program, and start it again, where the adapter is able."""
        while self._imports:
            self._give_up(self._imports[0])
        opened = self._hooks.reopen(self._storage, self._place)
        if not isinstance(opened, Unable):
            self._storage = opened

    # --- what must be so ---

    @invariant()
    def the_storage_shows_what_the_model_says(self) -> None:
        """Compare everything."""
        with self._storage.begin(write=False) as tx:
            for list_id, each in self.model["lists"].items():
                found = tx.lists.get(list_id)
                assert found is not None
                shown = (found.name, found.state.value, found.expires_at, found.version)
                assert shown == ("Winter Sale", each["state"], each["expires_at"], each["version"])
                counts = tx.codes.counts(list_id)
                assert (counts.uploaded, counts.distributed, counts.withdrawn) == model.counts(each)
                left = driver.codes_of(tx.codes.remaining(list_id, None, driver.ALL))
                assert left == model.of_state(each, "left")
                given = driver.codes_of(tx.assignments.of_list(list_id, None, driver.ALL))
                assert given == model.of_state(each, "given")
                linked = [link["campaign"] for link in self.model["links"] if link["list"] == list_id]
                assert [link.campaign_id for link in tx.campaigns.of_list(list_id)] == sorted(linked)
            for campaign in ("CMP1", "CMP2"):
                found_lists = [each.id for _, each in tx.campaigns.of_campaign(campaign)]
                assert found_lists == model.candidates(self.model, ("campaign", campaign))
            assert tx.settings.get("lost") is None
            assert tx.keys.get("lost") is None
            progress = tx.deliveries.progress("sink")
            assert progress == self.model["progress"]
            for lane, delivered in self.model["delivered"].items():
                entries, _ = tx.outbox.read_lane(lane, 0, driver.ALL)
                due = [entry.id for entry in entries if entry.position <= progress[lane].position]
                assert delivered == due, "an event was delivered twice, or never"
        told = [(event.user_id, event.voucher_code, event.list_id) for event in driver.rewards(self._storage)]
        assert told == [(given["user"], given["code"], given["list"]) for given in self.model["given"]]

    # --- how ---

    def _lists(self) -> list[model.Row]:
        return list(self.model["lists"].values())

    def _create(self, tag: str) -> str:
        with self._storage.begin() as tx:
            made = evolve(driver.unstored_list(tx, tag=tag), scope=SCOPES[tag])
            tx.lists.add(made)
            tx.commit()
        self.model["lists"][made.id] = {
            "tag": tag,
            "scope": SCOPES[tag],
            "state": "Active",
            "expires_at": FAR,
            "version": 1,
            "codes": [],
        }
        return made.id

    def _scope_lease(self, list_id: str) -> str:
        return f"upload scope {self.model['lists'][list_id]['scope']}"

    def _lease_of(self, name: str) -> str | None:
        holder, until = self.model["leases"].get(name, (None, START))
        return holder if until >= self.model["now"] else None

    def _take_lease(self, run: Running) -> bool:
        name, now = self._scope_lease(run.entry.list_id), self.model["now"]
        taken = driver.in_transaction(
            self._storage, lambda tx: tx.leases.take(name, run.entry.id, now, now + LEASE)
        )
        assert taken is (self._lease_of(name) in (None, run.entry.id))
        if taken:
            self.model["leases"][name] = (run.entry.id, now + LEASE)
        return taken

    def _keep_alive(self, run: Running) -> Callable[[Transaction], None]:
        name = self._scope_lease(run.entry.list_id)

        def keep_alive(tx: Transaction) -> None:
            if not tx.leases.held(name, run.entry.id):
                raise UploadInterrupted(upload_id=run.entry.id)

        return keep_alive

    def _begin(self, list_id: str, codes: list[str]) -> Running:
        entry = driver.enter_upload(self._storage, list_id)
        stack = ExitStack()
        opened = stack.enter_context(driver.importing(self._storage, entry, codes))
        run = Running(entry, codes, opened, stack)
        self._imports.append(run)
        return run

    def _claim(self, run: Running) -> None:
        accepted, refused = model.judge(self.model, run.entry.list_id, run.codes)
        scope = self._scope_lease(run.entry.list_id)
        # What another upload claimed, and may not publish any more, is held or taken over as the storage likes.
        doubtful = {
            code
            for other in self._imports
            if other is not run and self._scope_lease(other.entry.list_id) == scope
            for code in other.accepted or ()
        }
        driver.claim(run.opened, run.entry.list_id, self._keep_alive(run))
        lines = [fault.line for fault in run.opened.sample(driver.ALL)]
        assert sum(run.opened.refused.values()) == len(lines)
        assert set(refused) <= set(lines)
        assert {run.codes[line - 1] for line in set(lines) - set(refused)} <= doubtful
        run.accepted = [code for line, code in enumerate(run.codes, start=1) if line not in lines]
        assert set(accepted) - doubtful <= set(run.accepted)

    def _publish(self, run: Running) -> str:
        assert run.accepted is not None
        list_id, scope = run.entry.list_id, self._scope_lease(run.entry.list_id)
        with self._storage.begin() as tx:
            self._keep_alive(run)(tx)
            ended = driver.publish_in(tx, run.opened, run.entry, len(run.codes))
            tx.leases.release(scope, run.entry.id)
            tx.commit()
        assert ended.accepted == len(run.accepted)
        self.model["leases"].pop(scope)
        self.model["lists"][list_id]["codes"] += [
            {"code": code, "upload": run.entry.id, "state": "left"} for code in run.accepted
        ]
        self._imports.remove(run)
        run.stack.close()
        return run.entry.id

    def _give_up(self, run: Running) -> None:
        self._imports.remove(run)
        run.stack.close()
        with self._storage.begin() as tx:
            ended, _ = run.entry.failed(Tally(), interrupted("broken off"), START)
            tx.uploads.save(ended)
            tx.leases.release(self._scope_lease(run.entry.list_id), run.entry.id)
            tx.commit()
        name = self._scope_lease(run.entry.list_id)
        if self.model["leases"].get(name, ("", START))[0] == run.entry.id:
            del self.model["leases"][name]
        self._storage.abandon(run.entry.id)

    def _assign(self, user: str, source: tuple[str, str], key: str | None, again: bool) -> None:
        kind, name = source

        def ask() -> tuple[str, bool]:
            given, replayed = driver.assign(
                self._storage,
                user,
                list_id=name if kind == "list" else None,
                campaign_id=name if kind == "campaign" else None,
                key=key,
                again=again,
                now=self.model["now"],
            )
            return given.code, replayed

        known = self.model["keys"].get(key)
        if known is not None and known[0] != (user, source):
            must_raise(IdempotencyConflict, ask)
            return
        held = known[1] if known is not None else model.latest(self.model, user, source)
        if held is None or (known is None and again):
            held = model.give(self.model, user, source)
            if held is None:
                must_raise((CodesExhausted, NoActiveList), ask)
                return
            assert ask() == (held["code"], False)
        else:
            assert ask() == (held["code"], True)
        if key is not None:
            self.model["keys"].setdefault(key, ((user, source), held))


class _Crash(Exception):
    """The end of a process in the middle of a transaction."""
