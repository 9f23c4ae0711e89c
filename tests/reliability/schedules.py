"""What threads do at once, and what must be so whichever of them goes on when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path

from attrs import evolve

from partner_vouchers import Assignment, Limit, PerPartner, RepeatPolicy, Reservation, Reward, Status
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.assignment import BatchOutcome
from partner_vouchers.domain.events import Event
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import PartnerVouchersError, StorageError
from partner_vouchers.ports import Storage
from tests.concurrency.state import checked
from tests.reliability.jobs import removed_afterwards
from tests.reliability.scheduler import GRAINS, Adversary, AtRandom, ByPriority, Grain, Scheduler
from tests.support.host import EXPIRY, FixedClock, Host
from tests.support.sinks import ScriptedSink

ONE, TWO = "1", "2"


class Shop(Host):
    """A backend that has a sink, which remembers what arrives.

    Attributes:
        reserved: the id of the reservation that it has at first.
        given: the id of the assignment that it has at first, of the code A2.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, FixedClock(), duplicates=PerPartner())
        self.sink = ScriptedSink(batch_size=2)
        self.reserved = "".join(each.id for each in self.vouchers.codes.reservations(user_id="rob"))
        self.given = "".join(each.id for each in self.vouchers.codes.of_user("amy"))


Act = Callable[[Shop], object]


def _reserve(host: Shop, user_id: str) -> Reservation:
    return host.vouchers.codes.reserve(campaign_id="CMP", user_id=user_id, ttl=timedelta(hours=1))


def _create(host: Shop) -> str:
    return host.vouchers.lists.create(partner="Puma", tag="new", name="New", expires_at=EXPIRY).id


# The lists of the shop: ONE with five codes and a campaign, TWO with two, in the same campaign, of the same scope. Of
# ONE, a code is reserved and another one is given out.
SINGLE: dict[str, Act] = {
    "assign to ann": lambda host: host.vouchers.codes.assign(campaign_id="CMP", user_id="ann"),
    "assign to ann too": lambda host: host.vouchers.codes.assign(campaign_id="CMP", user_id="ann"),
    "assign to bob": lambda host: host.vouchers.codes.assign(campaign_id="CMP", user_id="bob"),
    "assign with a key": lambda host: host.vouchers.codes.assign(
        list_id=ONE, user_id="cleo", idempotency_key="order-1"
    ),
    "assign with the same key": lambda host: host.vouchers.codes.assign(
        list_id=ONE, user_id="cleo", idempotency_key="order-1"
    ),
    "assign to many": lambda host: host.vouchers.codes.assign_many(["ann", "dan"], campaign_id="CMP"),
    "assign to all or nobody": lambda host: host.vouchers.codes.assign_many(["e1", "e2", "e3"], list_id=ONE),
    "reserve": lambda host: _reserve(host, "cleo"),
    "reserve too": lambda host: _reserve(host, "cleo"),
    "confirm": lambda host: host.vouchers.codes.confirm(host.reserved),
    "release": lambda host: host.vouchers.codes.release(host.reserved),
    "assign what is reserved": lambda host: host.vouchers.codes.assign(list_id=ONE, user_id="rob"),
    "revoke": lambda host: host.vouchers.codes.revoke(host.given, reason="refund"),
    "restock": lambda host: host.vouchers.codes.revoke(host.given, restock=True, force=True),
    "redeem": lambda host: host.vouchers.redemptions.add("A2", "order-1"),
    "redeem for another order": lambda host: host.vouchers.redemptions.add("A2", "order-2"),
    "limit": lambda host: host.vouchers.campaigns.set_limits("CMP", [Limit(1, per="campaign")]),
    "edit": lambda host: host.vouchers.lists.edit(ONE, name="A", version=1),
    "edit too": lambda host: host.vouchers.lists.edit(ONE, name="B", version=1),
    "pause": lambda host: host.vouchers.lists.pause(ONE),
    "archive": lambda host: host.vouchers.lists.archive(ONE),
    "withdraw": lambda host: host.vouchers.uploads.withdraw("1"),
    "delete": lambda host: host.vouchers.lists.delete(TWO),
    "unlink": lambda host: host.vouchers.campaigns.unlink(TWO, "CMP"),
    "link": lambda host: host.vouchers.campaigns.link(ONE, "CMP2", repeat=RepeatPolicy.NEW_CODE),
    "create with a tag": _create,
    "create with the same tag": _create,
    "add a partner": lambda host: host.vouchers.partners.add("Nike").name,
}
"""Calls that work in one transaction: done at once, they must come to what they come to in some order."""

IN_STEPS: dict[str, Act] = {
    "upload to one": lambda host: host.upload(ONE, "N1", "N2", "A2", "N3", "N4"),
    "upload to two": lambda host: host.upload(TWO, "N1", "N2", "B1", "N3", "N5", filename="two.csv"),
    "upload the same to one": lambda host: host.upload(ONE, "N1", "N2", "A2", "N3", "N4"),
    "recover": lambda host: host.vouchers.uploads.recover(),
    "deliver": lambda host: host.vouchers.events.deliver(host.sink),
    "deliver too": lambda host: host.vouchers.events.deliver(host.sink),
}
"""Calls that work in several transactions, with which others may come in between."""


@dataclass
class Figures:
    """What was seen."""

    schedules: Counter[str] = field(default_factory=Counter)
    steps: int = 0


class Shops:
    """Makes shops that are all alike: two lists with codes in a campaign, on one kind of storage."""

    def __init__(
        self, backend: str, directory: Path, sabotaged: Callable[[Storage], Storage] = lambda storage: storage
    ) -> None:
        self.backend = backend
        self._directory = directory
        self._sabotaged = sabotaged
        if backend == "sqlite":
            with closing(SQLiteStorage(directory / "first.db")) as storage:
                furnish(Shop(storage))

    @contextmanager
    def open(self) -> Iterator[Shop]:
        """Make a new shop."""
        if self.backend == "memory":
            storage = MemoryStorage()
            furnish(Shop(storage))
            yield Shop(self._sabotaged(storage))
            return
        path = self._directory / "shop.db"
        with (
            removed_afterwards(path, copy_of=self._directory / "first.db"),
            closing(SQLiteStorage(path, synchronous="NORMAL", busy_timeout=5)) as opened,
        ):
            yield Shop(self._sabotaged(opened))


class Scene:
    """Calls that are made at once in a shop."""

    def __init__(self, shops: Shops, names: Sequence[str]) -> None:
        self._shops = shops
        self._names = names
        self._acts = [{**SINGLE, **IN_STEPS}[name] for name in names]
        self._outcomes: list[object] | None = None
        if not IN_STEPS.keys() & set(names):
            self._outcomes = [self._in_order(order) for order in permutations(range(len(names)))]

    def play(self, adversary: Adversary, grain: Grain, figures: Figures) -> None:
        """Make the calls in threads of which the adversary chooses one at each step, and check what comes of it."""
        scheduler = Scheduler(adversary, grain)
        with scheduler.installed(), self._shops.open() as host:
            # To wait for another upload is to give way.
            host.vouchers._setup(evolve(host.vouchers._wiring, pause=scheduler.sleep))
            results = scheduler.run([partial(_act, act, host) for act in self._acts])
            self._check(host, results)
        figures.schedules[self._shops.backend] += 1
        figures.steps += scheduler.steps

    def _in_order(self, order: Sequence[int]) -> object:
        results: list[object] = [None] * len(order)
        with self._shops.open() as host:
            for number in order:
                try:
                    results[number] = self._acts[number](host)
                except PartnerVouchersError as error:
                    results[number] = error
            return outcome_of(host, results)

    def _check(self, host: Shop, results: Sequence[object]) -> None:
        for result in results:
            if isinstance(result, Exception) and (
                not isinstance(result, PartnerVouchersError) or isinstance(result, StorageError)
            ):
                raise AssertionError("no call may end so") from result
        _require_invariants(host, results)
        if self._outcomes is not None:
            assert outcome_of(host, results) in self._outcomes, (
                "it comes to nothing that it may come to in any order"
            )


def _act(act: Act, host: Shop) -> object:
    try:
        return act(host)
    finally:
        host.hang_up()


def furnish(host: Shop) -> None:
    """Give a shop its lists."""
    host.a_list("A1", "A2", "A3", "A4", "A5", tag="one", campaign="CMP", priority=0)
    host.vouchers.codes.reserve(list_id=ONE, user_id="rob", ttl=timedelta(hours=1))
    host.give(ONE, "amy")
    host.a_list("B1", "B2", tag="two", campaign="CMP", priority=1)


def outcome_of(host: Shop, results: Sequence[object]) -> tuple[list[object], list[object], list[Event]]:
    """Return what came of it all: the answers, what is there, and what was told of it, in order."""
    there: list[object] = [
        (
            view,
            host.left(view.id),
            [
                (held.user_id, held.code, held.revoked_at, held.redeemed_at)
                for held in host.vouchers.codes.assignments(view.id)
            ],
            [(made.user_id, made.code) for made in host.vouchers.codes.reservations(list_id=view.id)],
        )
        for view in host.vouchers.lists.find(sort="created_at", limit=1000).items
    ]
    return [_answer(result) for result in results], there, [entry.event for entry in host.outbox()]


def _answer(result: object) -> object:
    match result:
        case PartnerVouchersError():
            return result.code
        case Reward():
            return result.user_id, result.code, result.replayed
        case Reservation():
            return result.user_id, result.code, result.state, result.replayed
        case BatchOutcome():
            return [_answer(reward) for reward in result.rewards], result.unserved
        case _:
            return repr(result)


def _require_invariants(host: Shop, results: Sequence[object]) -> None:
    """Check what must be so after anything: the lists, the duplicate rule, the answers, the uploads."""
    # Leases end, and what an upload could not clear away is cleared away.
    host.clock.advance(minutes=1)
    host.vouchers.uploads.recover()
    host.vouchers.events.deliver(host.sink)
    arrived = [entry.id for entry in host.sink.taken]
    revoked = {(each.user_id, each.code) for each in _all_held(host) if each.revoked_at is not None}
    missing = [entry.event for entry in host.outbox() if entry.id not in arrived]
    assert len(set(arrived)) == len(arrived), "an event came again"
    assert all(
        isinstance(event, VoucherRewarded) and (event.user_id, event.voucher_code) in revoked
        for event in missing
    ), "an event was lost"
    latest: dict[str, int] = {}
    for entry in host.sink.taken:
        assert latest.get(entry.event.ordering_key, 0) < entry.position, "events came in the wrong order"
        latest[entry.event.ordering_key] = entry.position
    counted = Counter[str]()
    users = Counter[tuple[str, str]]()
    for view in host.vouchers.lists.find(limit=1000).items:
        state = checked(host.vouchers, host.storage, view.id)
        if view.status is not Status.ARCHIVED:
            counted.update(state.known_codes)
        users.update((held.user_id, held.campaign_id) for held in state.given if held.campaign_id)
        uploads = host.vouchers.uploads.find(list_id=view.id).items
        assert not any(upload.is_running for upload in uploads)
        assert view.uploaded == sum(upload.accepted for upload in uploads)
    assert not [code for code, times in counted.items() if times > 1], "a code is in two lists of a scope"
    assert not [user for user, times in users.items() if times > 1], "a user has two codes of a campaign"
    held = {(each.user_id, each.code) for each in _all_held(host)}
    for result in results:
        rewards = result.rewards if isinstance(result, BatchOutcome) else [result]
        told = {(each.user_id, each.code) for each in rewards if isinstance(each, Reward)}
        assert told <= held, "somebody was told of a code that they do not have"


def _all_held(host: Shop) -> Iterator[Assignment]:
    for view in host.vouchers.lists.find(limit=1000).items:
        yield from host.vouchers.codes.assignments(view.id)


def explore(
    shops: Shops,
    chance: random.Random,
    figures: Figures,
    *,
    scenes: int,
    schedules: int,
    of: Sequence[str] = (),
) -> None:
    """Play so many scenes of two to four calls at once, each by so many schedules.

    Args:
        shops: where.
        chance: tells which calls, and which schedules.
        figures: counts what was seen.
        scenes: how many.
        schedules: how many for each scene.
        of: the calls to choose from; all of them by default.

    Raises:
        AssertionError: what must be so was not; its notes tell the calls and the schedule.
    """
    names = list(of or (*SINGLE, *IN_STEPS))
    for _ in range(scenes):
        chosen = chance.sample(names, min(chance.choice((2, 3, 3, 4)), len(names)))
        scene = Scene(shops, chosen)
        for _ in range(schedules):
            seed = chance.randrange(10**9)
            grain = chance.choice(GRAINS)
            try:
                scene.play(_adversary(random.Random(seed), len(chosen)), grain, figures)
            except AssertionError as failure:
                failure.add_note(f"{chosen} on {shops.backend}, schedule {seed} by {grain}")
                raise


def _adversary(chance: random.Random, threads: int) -> Adversary:
    if chance.random() < 0.5:
        return AtRandom(chance)
    # Most calls take some hundred steps.
    return ByPriority(chance, threads, steps=chance.choice((100, 1000, 5000)), drops=chance.randint(1, 4))
