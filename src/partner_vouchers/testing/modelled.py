"""A storage beside its model: what is done to one is done to the other, and what they answer is compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from attrs import define, evolve, field

from partner_vouchers.domain.delivery import SinkProgress
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.redemption import EntryState
from partner_vouchers.domain.uploads import Tally, Upload, interrupted
from partner_vouchers.errors import (
    CodesExhausted,
    IdempotencyConflict,
    NoActiveList,
    UploadInterrupted,
)
from partner_vouchers.ports import CodeImport, Storage, Transaction
from partner_vouchers.testing import driver, model
from partner_vouchers.testing.driver import FAR, START
from partner_vouchers.testing.hooks import must_raise

SCOPES = {"a": "first", "b": "first", "c": "second"}
CAMPAIGNS = ["CMP1", "CMP2"]
LEASE = timedelta(seconds=30)
_STATES = {"left": EntryState.AVAILABLE, "given": EntryState.HELD, "retired": EntryState.RETIRED}


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


class ModelledStorage:
    """Operations on a storage and on the model of it.

    Attributes:
        storage: the storage.
        model: what it should show; see `model.new_model`.
        imports: the uploads that are on their way.
    """

    def __init__(self, storage: Storage) -> None:
        """Take an empty storage."""
        self.storage: Storage = storage
        self.model: model.Row = model.new_model(START)
        self.imports: list[Running] = []

    def lists(self) -> list[model.Row]:
        """Return the lists of the model."""
        return list(self.model["lists"].values())

    def create(self, tag: str) -> str:
        """Create a list."""
        with self.storage.begin() as tx:
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

    def change(self, list_id: str, *, state: State, expires_at: datetime | None = None) -> None:
        """Bring a list into a state, and move its expiry where one is given."""
        each = self.model["lists"][list_id]
        expires_at = expires_at or each["expires_at"]
        saved = driver.change(self.storage, list_id, state=state, expires_at=expires_at)
        each |= {"state": state.value, "expires_at": expires_at, "version": saved.version}

    def link(self, list_id: str, campaign: str, priority: int) -> None:
        """Link a list to a campaign, or change the link."""
        driver.in_transaction(
            self.storage, lambda tx: tx.campaigns.put(driver.a_link(list_id, campaign, priority=priority))
        )
        for known in self.model["links"]:
            if (known["list"], known["campaign"]) == (list_id, campaign):
                known["priority"] = priority
                return
        self.model["links"].append({"list": list_id, "campaign": campaign, "priority": priority})

    def unlink(self, list_id: str, campaign: str) -> None:
        """Remove a link, if there is one."""
        removed = driver.in_transaction(self.storage, lambda tx: tx.campaigns.remove(list_id, campaign))
        kept = [
            link for link in self.model["links"] if (link["list"], link["campaign"]) != (list_id, campaign)
        ]
        assert removed is (len(kept) < len(self.model["links"]))
        self.model["links"] = kept

    def upload(self, list_id: str, codes: list[str]) -> str:
        """Upload a file at one go, to a scope whose lease is free; return the id of the upload."""
        run = self.begin_upload(list_id, codes)
        assert self.take_lease(run)
        self.claim(run)
        return self.publish(run)

    def scope_lease(self, list_id: str) -> str:
        """Return the name of the lease that uploads to the scope of a list need."""
        return f"upload scope {self.model['lists'][list_id]['scope']}"

    def lease_of(self, name: str) -> str | None:
        """Return who has a lease now."""
        holder, until = self.model["leases"].get(name, (None, START))
        return holder if until >= self.model["now"] else None

    def take_lease(self, run: Running) -> bool:
        """Take the lease that an upload needs, where it is free."""
        name, now = self.scope_lease(run.entry.list_id), self.model["now"]
        taken = driver.in_transaction(
            self.storage, lambda tx: tx.leases.take(name, run.entry.id, now, now + LEASE)
        )
        assert taken is (self.lease_of(name) in (None, run.entry.id))
        if taken:
            self.model["leases"][name] = (run.entry.id, now + LEASE)
        return taken

    def keep_alive(self, run: Running) -> Callable[[Transaction], None]:
        """Return what raises where the lease of an upload is lost."""
        name = self.scope_lease(run.entry.list_id)

        def keep_alive(tx: Transaction) -> None:
            if not tx.leases.held(name, run.entry.id):
                raise UploadInterrupted(upload_id=run.entry.id)

        return keep_alive

    def begin_upload(self, list_id: str, codes: list[str]) -> Running:
        """Begin the upload of a file."""
        entry = driver.enter_upload(self.storage, list_id)
        stack = ExitStack()
        opened = stack.enter_context(driver.importing(self.storage, entry, codes))
        run = Running(entry, codes, opened, stack)
        self.imports.append(run)
        return run

    def claim(self, run: Running) -> None:
        """Claim the codes of an upload that has the lease, and compare what is refused."""
        accepted, refused = model.validated(self.model, run.entry.list_id, run.codes)
        scope = self.scope_lease(run.entry.list_id)
        # What another upload claimed, and may not publish any more, is held or taken over as the storage likes.
        doubtful = {
            code
            for other in self.imports
            if other is not run and self.scope_lease(other.entry.list_id) == scope
            for code in other.accepted or ()
        }
        driver.claim(run.opened, run.entry.list_id, self.keep_alive(run))
        lines = [fault.line for fault in run.opened.sample(driver.ALL)]
        assert sum(run.opened.refused.values()) == len(lines)
        assert set(refused) <= set(lines)
        assert {run.codes[line - 1] for line in set(lines) - set(refused)} <= doubtful
        run.accepted = [code for line, code in enumerate(run.codes, start=1) if line not in lines]
        assert set(accepted) - doubtful <= set(run.accepted)

    def publish(self, run: Running) -> str:
        """End an upload that has claimed its codes and has the lease; return its id."""
        assert run.accepted is not None
        list_id, scope = run.entry.list_id, self.scope_lease(run.entry.list_id)
        with self.storage.begin() as tx:
            self.keep_alive(run)(tx)
            ended = driver.publish_in(tx, run.opened, run.entry, len(run.codes))
            tx.leases.release(scope, run.entry.id)
            tx.commit()
        assert ended.accepted == len(run.accepted)
        self.model["leases"].pop(scope)
        self.model["lists"][list_id]["codes"] += [
            {"code": code, "upload": run.entry.id, "state": "left"} for code in run.accepted
        ]
        self.imports.remove(run)
        run.stack.close()
        return run.entry.id

    def publish_without_lease(self, run: Running) -> None:
        """End an upload that has claimed its codes and lost the lease: it is refused, and given up."""
        with pytest.raises(UploadInterrupted), self.storage.begin() as tx:
            self.keep_alive(run)(tx)
            run.opened.publish(tx)
            tx.commit()
        self.give_up(run)

    def give_up(self, run: Running) -> None:
        """Break an upload off, and clear away what it left."""
        self.imports.remove(run)
        run.stack.close()
        with self.storage.begin() as tx:
            ended, _ = run.entry.failed(Tally(), interrupted("broken off"), START)
            tx.uploads.save(ended)
            tx.leases.release(self.scope_lease(run.entry.list_id), run.entry.id)
            tx.commit()
        name = self.scope_lease(run.entry.list_id)
        if self.model["leases"].get(name, ("", START))[0] == run.entry.id:
            del self.model["leases"][name]
        self.storage.abandon(run.entry.id)

    def withdraw(self, upload_id: str) -> None:
        """Take back the codes of an upload that nobody has."""
        taken_back = driver.in_transaction(self.storage, lambda tx: tx.codes.withdraw(upload_id))
        left = [
            code
            for each in self.lists()
            for code in each["codes"]
            if code["upload"] == upload_id and code["state"] == "left"
        ]
        assert taken_back == len(left)
        for code in left:
            code["state"] = "withdrawn"

    def assign(self, user: str, source: tuple[str, str], key: str | None, again: bool) -> None:
        """Give a user a code of a campaign or a list, or compare the refusal."""
        kind, name = source

        def ask() -> tuple[str, bool]:
            given, replayed = driver.assign(
                self.storage,
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

    def use(self, list_id: str, index: int, order_id: str) -> None:
        """Redeem a code of a list that was given out, revert its redemption, or retire it where nobody has it."""
        known = [code for code in self.model["lists"][list_id]["codes"] if code["state"] != "withdrawn"]
        if not known:
            return
        code = known[index % len(known)]

        def work(tx: Transaction) -> bool:
            found = tx.redemptions.entries([code["code"]], None, list_id).get(code["code"], [])
            entry = next((each for each in found if each.list_id == list_id), None)
            if entry is None:
                # After their list was archived, others may have taken the place of codes that nobody had.
                assert code["state"] == "left"
                assert self.model["lists"][list_id]["state"] == "Archived"
                return False
            assert entry.state is _STATES[code["state"]]
            assert (entry.redemption is not None) == code.get("used", False)
            if entry.state is EntryState.AVAILABLE:
                tx.redemptions.retire([entry])
            elif entry.redemption is not None:
                tx.redemptions.revert(evolve(entry.redemption, reverted_at=START))
            elif entry.state is EntryState.HELD:
                tx.redemptions.add([entry.redeemed(code["code"], order_id, START, None, START)])
            return True

        if not driver.in_transaction(self.storage, work):
            return
        if code["state"] == "given":
            code["used"] = not code.get("used", False)
        elif code["state"] == "left":
            code["state"] = "retired"

    def deliver(self, limit: int, *, crash: bool) -> None:
        """Deliver events to a sink, and keep how far it has come; or crash before that."""
        with self.storage.begin() as tx:
            tx.outbox.order()
            progress = tx.deliveries.progress("sink") or SinkProgress()
            entries = tx.outbox.read(progress.position, limit)
            position = entries[-1].position if entries else progress.position
            tx.deliveries.save_progress("sink", SinkProgress(position))
            if crash:
                return
            tx.commit()
        self.model["position"] = position
        self.model["delivered"] += [entry.id for entry in entries]

    def compare(self) -> None:
        """Require that the storage shows what the model says."""
        with self.storage.begin(write=False) as tx:
            for list_id, each in self.model["lists"].items():
                found = tx.lists.get(list_id)
                assert found is not None
                shown = (found.name, found.state.value, found.expires_at, found.version)
                assert shown == ("Winter Sale", each["state"], each["expires_at"], each["version"])
                counts = tx.codes.counts(list_id)
                shown_counts = (counts.uploaded, counts.distributed, counts.withdrawn, counts.retired)
                assert shown_counts == model.counts(each)
                left = driver.codes_of(tx.codes.remaining(list_id, None, driver.ALL))
                assert left == model.of_state(each, "left")
                assignments = tx.assignments.of_list(list_id, None, driver.ALL)
                assert driver.codes_of(assignments) == model.of_state(each, "given")
                assert [found.redeemed_at is not None for found in assignments] == model.redeemed(each)
                linked = [link["campaign"] for link in self.model["links"] if link["list"] == list_id]
                assert [link.campaign_id for link in tx.campaigns.of_list(list_id)] == sorted(linked)
            for campaign in CAMPAIGNS:
                found_lists = [each.id for _, each in tx.campaigns.of_campaign(campaign)]
                assert found_lists == model.candidates(self.model, ("campaign", campaign))
            assert tx.settings.get("lost") is None
            assert tx.keys.get("lost") is None
            progress = tx.deliveries.progress("sink") or SinkProgress()
            assert progress.position == self.model["position"]
            sent = [
                entry.id for entry in tx.outbox.read(0, driver.ALL) if entry.position <= progress.position
            ]
            assert self.model["delivered"] == sent, "an event was delivered twice, or never"
        told = [(event.user_id, event.voucher_code, event.list_id) for event in driver.rewards(self.storage)]
        assert told == [(given["user"], given["code"], given["list"]) for given in self.model["given"]]
