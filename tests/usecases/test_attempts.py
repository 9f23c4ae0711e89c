"""What the storage gave up before its commit is done again, as a whole, and so often that it is done once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from attrs import evolve

from partner_vouchers import PartnerVouchers, PointsCredited
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.domain.erasure import is_pseudonym
from partner_vouchers.domain.events import UploadCompleted
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import (
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
from tests.support.host import EXPIRY, FixedClock, Host
from tests.support.promo import an_event
from tests.support.scene import CALLS, Scene
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


class Repeating(Scene):
    """A scene on a storage that can give up."""

    storage: GivingUpStorage

    def __init__(self, storage: Storage, error: Callable[[], StorageError] = GIVEN_UP["lost"]) -> None:
        super().__init__(GivingUpStorage(storage, error))

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


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "times, stride", [(1, 4), *(pytest.param(times, 1, marks=pytest.mark.deep) for times in range(1, MOST))]
)
def test_a_call_does_the_same_wherever_its_transaction_is_given_up(
    name: str, times: int, stride: int
) -> None:
    call = CALLS[name]
    undisturbed = Repeating(MemoryStorage(), GIVEN_UP["lost"])
    answer = call(undisturbed)
    facts = undisturbed.facts()
    met = 0
    for step in count(1, stride):
        scene = Repeating(MemoryStorage(), GIVEN_UP["conflict" if step // stride % 2 else "lost"])
        scene.storage.give_up(step, times)
        assert call(scene) == answer
        met += scene.storage.gave_up
        if not scene.storage.gave_up:
            break
        assert scene.facts() == facts
    assert met, "the call makes no step"


AGAIN: dict[str, Callable[[Repeating, int], Any]] = {
    "codes.assign": lambda s, n: s.vouchers.codes.assign(campaign_id="CMP", user_id=f"user-{n}").replayed,
    "lists.edit": lambda s, n: s.vouchers.lists.edit(s.full, name="Summer" * n).available,
    "uploads.add": lambda s, n: s.host.upload(s.full, f"NEW{n}", "A").accepted,
    "events.deliver": lambda s, n: s.vouchers.events.deliver(s.sink).delivered,
}


@pytest.mark.parametrize("name", AGAIN)
def test_every_storage_takes_back_what_was_done_before_a_commit(name: str, storage: Storage) -> None:
    scene = Repeating(storage)
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
    scene = Repeating(storage, error)
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
    scene = Repeating(MemoryStorage())
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

    scene = Repeating(MemoryStorage(), fail)  # type: ignore[arg-type]
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
    scene = Repeating(MemoryStorage(), error)
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

    scene = Repeating(MemoryStorage())
    vouchers = PartnerVouchers(scene.storage, clock=scene.host.clock, eligibility={"adult": is_adult})
    with pytest.raises(NotEligible):
        vouchers.codes.assign(campaign_id="CMP", user_id="ann", context={"age": 17})
    scene.storage.give_up(1, commits_only=True)
    assert vouchers.codes.assign(campaign_id="CMP", user_id="ann", context={"age": 18}).code == "A"
    assert asked == [{"age": 17}, {"age": 18}, {"age": 18}]


def test_an_attempt_is_told_to_the_operator_and_no_code_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "partner_vouchers.transactions")
    scene = Repeating(MemoryStorage())
    scene.storage.give_up(1, times=2, commits_only=True)
    assert CALLS["codes.assign"](scene) == "A"
    told = [record.message for record in caplog.records if record.name == "partner_vouchers.transactions"]
    assert told == ["attempt 2 in a new transaction: cut", "attempt 3 in a new transaction: cut"]


def test_a_storage_that_knows_nothing_of_this_raises_as_before() -> None:
    assert issubclass(TransactionConflict, StorageBusy)
    assert issubclass(ConnectionLost, StorageUnavailable)
