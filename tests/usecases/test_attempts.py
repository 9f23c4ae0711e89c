"""What the storage gave up before its commit is done again, as a whole, and so often that it is done once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import Limit, PartnerVouchers, PointsCredited, Status
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.events import UploadCompleted
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.domain.pseudonym import is_pseudonym
from partner_vouchers.errors import (
    CodesExhausted,
    CommitOutcomeUnknown,
    ConnectionLost,
    NotEligible,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TransactionConflict,
)
from partner_vouchers.ports import Storage
from partner_vouchers.usecases import transactions
from partner_vouchers.usecases.transactions import PAUSES
from tests.support.host import EXPIRY, FixedClock, Host, a_file
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink, reject
from tests.support.storages import GivingUpStorage

MOST = 1 + len(PAUSES)
GIVEN_UP: dict[str, Callable[[], StorageError]] = {
    "conflict": lambda: TransactionConflict(reason="in the way"),
    "lost": lambda: ConnectionLost(reason="cut"),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "PAUSES", (0.0,) * len(PAUSES))


# --- every call ----------------------------------------------------------------------------------------------


class Scene:
    """A host with lists, a campaign, an upload, a sink, and a storage that can give up."""

    def __init__(self, storage: Storage, error: Callable[[], StorageError] = GIVEN_UP["lost"]) -> None:
        self.storage = GivingUpStorage(storage, error)
        self.host = Host(self.storage, FixedClock(), eligibility={"adult": lambda context: True})
        self.vouchers = self.host.vouchers
        self.sink = ScriptedSink()
        self.full = self.host.a_list("A", "B", "C", tag="full", campaign="CMP").id
        self.upload = self.host.upload(self.full, "D", "D D").id
        self.used = self.host.a_list("E", "F", tag="used").id
        self.host.give(self.used, "zoe")
        self.old = self.host.a_list("G", tag="old", status=Status.EXPIRED).id
        aside = self.host.a_list("S", "T", tag="aside").id
        hour = timedelta(hours=1)
        self.reserved = self.vouchers.codes.reserve(list_id=aside, user_id="eve", ttl=hour).id
        self.host.give(aside, "val")
        self.vouchers.redemptions.add("T", "order-1")
        self.vouchers.campaigns.link(self.full, "CMP", eligibility="adult")
        self.sink.always = reject("zoe", final=True)
        self.vouchers.events.deliver(self.sink)
        self.host.give(self.used, "yan")
        self.given = self.vouchers.codes.of_user("yan")[0].id

    def facts(self) -> dict[str, Any]:
        """Return all that a host can see, without ids, of which an attempt may use some up."""
        self.storage.give_up(0, 0)
        seen: Any = self.host.everything()
        tags = {each.id: each.tag for each in seen["lists"]}
        ids = {tag: key for key, tag in tags.items()}
        lists = [(each.tag, each.name, each.state, each.version, each.counts) for each in seen["lists"]]
        return {
            "partners": seen["partners"],
            "lists": sorted(lists),
            "links": {tag: [link.campaign_id for link in seen["links"][ids[tag]]] for tag in ids},
            "left": {tag: [taken.code for taken in seen["left"][ids[tag]]] for tag in ids},
            "given": {
                tag: [
                    (each.code, is_pseudonym(each.user_id) or each.user_id, each.revoked_at, each.redeemed_at)
                    for each in seen["assignments"][ids[tag]]
                ]
                for tag in ids
            },
            "reserved": {
                tag: [(each.code, each.user_id, each.state) for each in seen["reservations"][ids[tag]]]
                for tag in ids
            },
            "limits": seen["limits"],
            "uploads": {
                tag: [(each.status, each.accepted, each.errors) for each in seen["uploads"][ids[tag]]]
                for tag in ids
            },
            "events": [type(entry.event) for entry in seen["outbox"]],
            "audit": [type(entry.event) for entry in seen["audit"]],
            "sink": Counter(self.sink.users()),
            "backlog": self.vouchers.events.backlog(),
            "free": self._is_free("deliver:crm"),
        }

    def _is_free(self, lease: str) -> bool:
        with self.storage.begin() as tx:
            return bool(tx.leases.take(lease, "another", self.host.clock.now, EXPIRY))


CALLS: dict[str, Callable[[Scene], Any]] = {
    "codes.assign": lambda s: (
        s.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-991").code
    ),
    "codes.assign, nothing left": lambda s: refused(
        CodesExhausted, lambda: [s.host.give(s.used, name) for name in "x"]
    ),
    "codes.assign_many": lambda s: [
        each.code for each in s.vouchers.codes.assign_many(["ann", "bob", "ann"], list_id=s.full).rewards
    ],
    "codes.reserve": lambda s: (
        s.vouchers.codes.reserve(campaign_id="CMP", user_id="ann", ttl=timedelta(hours=1)).code
    ),
    "codes.confirm": lambda s: s.vouchers.codes.confirm(s.reserved).code,
    "codes.release": lambda s: s.vouchers.codes.release(s.reserved).state,
    "codes.revoke": lambda s: s.vouchers.codes.revoke(s.given, restock=True).restocked,
    "codes.forget_user": lambda s: s.vouchers.codes.forget_user("yan"),
    "redemptions.add": lambda s: s.vouchers.redemptions.add("F", "order-2").user_id,
    "redemptions.revert": lambda s: s.vouchers.redemptions.revert("T", "order-1").order_id,
    "campaigns.set_limits": lambda s: s.vouchers.campaigns.set_limits("CMP", [Limit(5, per="campaign")]),
    "codes.of_user": lambda s: len(s.vouchers.codes.of_user("zoe", expired=False)),
    "codes.holders": lambda s: [each.user_id for each in s.vouchers.codes.holders("E")],
    "codes.assignments": lambda s: [each.user_id for each in s.vouchers.codes.assignments(s.used)],
    "codes.export": lambda s: s.vouchers.codes.export(s.full, remaining=True).read(),
    "events.emit": lambda s: s.vouchers.events.emit(an_event(PointsCredited, user_id="ann")),
    "events.deliver": lambda s: s.vouchers.events.deliver(s.sink).delivered,
    "events.backlog": lambda s: s.vouchers.events.backlog("crm"),
    "events.dead_letters": lambda s: len(s.vouchers.events.dead_letters().items),
    "events.retry_dead_letters": lambda s: s.vouchers.events.retry_dead_letters(),
    "events.forget_sink": lambda s: s.vouchers.events.forget_sink("crm"),
    "events.announce_expired": lambda s: s.vouchers.events.announce_expired(),
    "campaigns.link": lambda s: s.vouchers.campaigns.link(s.used, "CMP").campaign_id,
    "campaigns.unlink": lambda s: s.vouchers.campaigns.unlink(s.full, "CMP"),
    "campaigns.of_list": lambda s: len(s.vouchers.campaigns.of_list(s.full)),
    "campaigns.lists_of": lambda s: len(s.vouchers.campaigns.lists_of("CMP")),
    "partners.add": lambda s: s.vouchers.partners.add("Nike"),
    "partners.get": lambda s: s.vouchers.partners.get("Puma"),
    "partners.all": lambda s: s.vouchers.partners.all(),
    "lists.create": lambda s: s.host.a_list(tag="new").tag,
    "lists.get": lambda s: s.vouchers.lists.get(s.full),
    "lists.find": lambda s: len(s.vouchers.lists.find().items),
    "lists.edit": lambda s: s.vouchers.lists.edit(s.full, name="Summer", low_stock_at=3).version,
    "lists.pause": lambda s: s.vouchers.lists.pause(s.full).version,
    "lists.archive": lambda s: s.vouchers.lists.archive(s.full).campaigns,
    "lists.delete": lambda s: s.vouchers.lists.delete(s.old),
    "uploads.add": lambda s: s.host.upload(s.full, "H", "A", "I", "H").accepted,
    "uploads.add, refused": lambda s: s.host.upload_file(s.full, b"", filename="a.txt").status,
    "uploads.validate": lambda s: (
        s.vouchers.uploads.validate(s.full, a_file("H", "A"), filename="a.csv").acceptable
    ),
    "uploads.errors": lambda s: len(s.vouchers.uploads.errors(s.upload)),
    "uploads.error_file": lambda s: s.vouchers.uploads.error_file(s.upload).read(),
    "uploads.original_file": lambda s: s.vouchers.uploads.original_file(s.upload).read(),
    "uploads.find": lambda s: len(s.vouchers.uploads.find(list_id=s.full).items),
    "uploads.recover": lambda s: s.vouchers.uploads.recover(),
    "uploads.withdraw": lambda s: s.vouchers.uploads.withdraw(s.upload).withdrawn,
    "uploads.explain_duplicate": lambda s: str(s.vouchers.uploads.explain_duplicate(s.full, "A")),
    "audit.entries": lambda s: len(s.vouchers.audit.entries().items),
}


def refused(error: type[Exception], call: Callable[[], object]) -> type[Exception]:
    with pytest.raises(error):
        call()
    return error


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "times, stride", [(1, 4), *(pytest.param(times, 1, marks=pytest.mark.deep) for times in range(1, MOST))]
)
def test_a_call_does_the_same_wherever_its_transaction_is_given_up(
    name: str, times: int, stride: int
) -> None:
    call = CALLS[name]
    undisturbed = Scene(MemoryStorage(), GIVEN_UP["lost"])
    answer = call(undisturbed)
    facts = undisturbed.facts()
    met = 0
    for step in count(1, stride):
        scene = Scene(MemoryStorage(), GIVEN_UP["conflict" if step // stride % 2 else "lost"])
        scene.storage.give_up(step, times)
        assert call(scene) == answer
        met += scene.storage.gave_up
        if not scene.storage.gave_up:
            break
        assert scene.facts() == facts
    assert met, "the call makes no step"


AGAIN: dict[str, Callable[[Scene, int], Any]] = {
    "codes.assign": lambda s, n: s.vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{n}").replayed,
    "lists.edit": lambda s, n: s.vouchers.lists.edit(s.full, name="Summer" * n).available,
    "uploads.add": lambda s, n: s.host.upload(s.full, f"NEW{n}", "A").accepted,
    "events.deliver": lambda s, n: s.vouchers.events.deliver(s.sink).delivered,
}


@pytest.mark.parametrize("name", AGAIN)
def test_every_storage_takes_back_what_was_done_before_a_commit(name: str, storage: Storage) -> None:
    scene = Scene(storage)
    scene.vouchers.events.deliver(scene.sink)
    answers = list[Any]()
    for number in count(1):
        if name == "events.deliver":
            scene.vouchers.events.emit(an_event(PointsCredited, user_id=f"user-{number}"))
        scene.storage.give_up(number, commits_only=True)
        answers.append(AGAIN[name](scene, number))
        if not scene.storage.gave_up:
            break
    assert len(answers) > 1
    assert len(set(answers)) == 1
    facts = scene.facts()
    given = [user for users in facts["given"].values() for _, user, *_ in users]
    assert facts["events"].count(VoucherRewarded) == len(given) == len(set(given))
    assert facts["events"].count(UploadCompleted) == sum(map(len, facts["uploads"].values()))
    # Val was given a code and has used it.
    assert set((facts["sink"] - Counter(val=1)).values()) == {1}
    assert facts["free"]


# --- where it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", GIVEN_UP.values(), ids=GIVEN_UP)
def test_after_the_last_attempt_the_caller_is_told_how_many_there_were(
    error: Callable[[], StorageError], storage: Storage
) -> None:
    scene = Scene(storage, error)
    with scene.host.nothing_changes():
        scene.storage.give_up(4, times=1000)
        with pytest.raises((TransactionConflict, ConnectionLost)) as caught:
            CALLS["codes.assign"](scene)
        assert (scene.storage.transactions, scene.storage.gave_up) == (MOST, MOST)
        assert vars(caught.value)["attempts"] == MOST
        scene.storage.give_up(0)
    assert CALLS["codes.assign"](scene) == "A"


def test_the_waits_between_attempts_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    waited = list[float]()
    scene = Scene(MemoryStorage())
    wiring = evolve(scene.vouchers._wiring, pause=waited.append)
    scene.storage.give_up(1, times=1000)
    with pytest.raises(ConnectionLost):
        wiring.read(lambda tx: tx.partners.all())
    assert waited == list(PAUSES) == sorted(PAUSES)
    assert 0 < sum(PAUSES) < 1, "a user waits for it"


@pytest.mark.parametrize(
    "error",
    [
        CommitOutcomeUnknown(reason="no answer"),
        StorageBusy(reason="locked for 5 s"),
        StorageUnavailable(reason="no connection to be had"),
        StorageFull(reason="the disk is full"),
        StorageError(reason="broken"),
        NotEligible(campaign_id="CMP", lists=()),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_else_is_tried_again(error: Exception) -> None:
    def fail() -> Exception:
        return error

    scene = Scene(MemoryStorage(), fail)  # type: ignore[arg-type]
    with scene.host.nothing_changes():
        scene.storage.give_up(1, commits_only=True)
        with pytest.raises(type(error)) as caught:
            CALLS["codes.assign"](scene)
        assert caught.value is error
        assert scene.storage.transactions == 1


class Unanswered:
    """A storage whose first commit is made, and not answered."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self.begun: int = 0
        self.answers: bool = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Any]:
        self.begun += 1
        with self._storage.begin(write=write) as tx:
            yield tx
        if not self.answers:
            self.answers = True
            raise CommitOutcomeUnknown(reason="no answer")


def test_a_commit_without_an_answer_is_not_made_twice() -> None:
    storage = Unanswered()
    host = Host(storage, FixedClock())
    found = host.a_list("A", "B")
    storage.answers, storage.begun = False, 0
    with pytest.raises(CommitOutcomeUnknown):
        host.vouchers.codes.assign(list_id=found.id, user_id="ann", idempotency_key="order-991")
    assert storage.begun == 1
    again = host.vouchers.codes.assign(list_id=found.id, user_id="ann", idempotency_key="order-991")
    assert (again.code, again.replayed) == ("A", True)
    assert host.left(found.id) == ["B"]


@pytest.mark.parametrize("error", GIVEN_UP.values(), ids=GIVEN_UP)
def test_a_hosts_transaction_is_left_to_the_host(error: Callable[[], StorageError]) -> None:
    scene = Scene(MemoryStorage(), error)
    with scene.host.nothing_changes(), scene.storage.begin() as tx:
        joined = scene.vouchers.using(tx)
        scene.storage.joined.give_up(2)
        with pytest.raises((TransactionConflict, ConnectionLost)) as caught:
            joined.codes.assign(list_id=scene.full, user_id="ann")
        assert (scene.storage.joined.transactions, vars(caught.value)["attempts"]) == (1, 1)


# --- what is done again ----------------------------------------------------------------------------------------


def test_the_rules_of_the_host_are_asked_again() -> None:
    """What a rule does besides answering is thus done again, as the documentation says."""
    asked = list[Mapping[str, object]]()

    def is_adult(context: Mapping[str, object]) -> bool:
        asked.append(context)
        return len(asked) > 1

    scene = Scene(MemoryStorage())
    vouchers = PartnerVouchers(scene.storage, clock=scene.host.clock, eligibility={"adult": is_adult})
    with pytest.raises(NotEligible):
        vouchers.codes.assign(campaign_id="CMP", user_id="ann", context={"age": 17})
    scene.storage.give_up(1, commits_only=True)
    assert vouchers.codes.assign(campaign_id="CMP", user_id="ann", context={"age": 18}).code == "A"
    assert asked == [{"age": 17}, {"age": 18}, {"age": 18}]


def test_an_attempt_is_told_to_the_operator_and_no_code_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "partner_vouchers.transactions")
    scene = Scene(MemoryStorage())
    scene.storage.give_up(1, times=2, commits_only=True)
    assert CALLS["codes.assign"](scene) == "A"
    told = [record.message for record in caplog.records if record.name == "partner_vouchers.transactions"]
    assert told == ["attempt 2 in a new transaction: cut", "attempt 3 in a new transaction: cut"]


def test_a_storage_that_knows_nothing_of_this_raises_as_before() -> None:
    assert issubclass(TransactionConflict, StorageBusy)
    assert issubclass(ConnectionLost, StorageUnavailable)
