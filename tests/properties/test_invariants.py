"""The invariants of the duplicate rule and of assignment, after any sequence of operations.

A state machine drives the library through its public API and asks a model of plain dicts each time what the
answer must be: `Model` says it in the simplest way that there is.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from partner_vouchers import (
    Everywhere,
    PartnerVouchers,
    PartnerVouchersError,
    PerPartner,
    PerPartnerAndTag,
    RepeatPolicy,
    Reward,
    RowFaultKind,
    Status,
    Upload,
    UploadStatus,
)
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.domain.events import StockEvent
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import StaleVersion
from partner_vouchers.ports import OutboxEntry
from tests.properties.backends import START, Backend, Clock, InMemory, InPostgres, InSQLite, csv_file
from tests.properties.model import AVAILABLE, DISTRIBUTED, WITHDRAWN, Answer, Given, Model, Refused, ScopeRule

T = TypeVar("T")
U = TypeVar("U")

New = str | MultipleResults[str]
"""The id of what an operation created, if it did."""

PARTNERS = st.sampled_from(["Puma", "Amazon"])
TAGS = st.sampled_from(["sale", "vip"])
NAMES = ["ann", "bob", "cid", "dee", "eve", "fay"]
CODES = st.sampled_from([f"C{number:02}" for number in range(1, 25)])
FILES = st.lists(CODES | CODES | CODES | CODES | st.just("BAD CODE"), min_size=1, max_size=10)
USERS = st.sampled_from(NAMES)
CAMPAIGNS = st.sampled_from(["CMP1", "CMP2"])
KEYS = st.sampled_from([None, None, None, "key-1", "key-2", "key-3"])
REPEATS = st.sampled_from(RepeatPolicy)
PRIORITIES = st.integers(0, 2)
DAYS = st.integers(-1, 9)
THRESHOLDS = st.sampled_from([None, 0, 1, 2])

POLICIES: list[tuple[DuplicatePolicy, ScopeRule]] = [
    (PerPartnerAndTag(), lambda partner, tag: (partner, tag)),
    (PerPartner(), lambda partner, tag: partner),
    (Everywhere(), lambda partner, tag: None),
]
ONE = POLICIES[0][0]


class VoucherMachine(RuleBasedStateMachine):
    """Drives the library and the model side by side."""

    lists = Bundle[str]("lists")

    def __init__(
        self, open_backend: Callable[[], Backend], policy: DuplicatePolicy, scope: ScopeRule
    ) -> None:
        super().__init__()
        self.clock = Clock()
        self.backend = open_backend()
        self.storage = self.backend.storage
        self.vouchers = PartnerVouchers(self.storage, duplicates=policy, clock=self.clock)
        self.policy = policy
        self.model = Model(scope, START)
        self.upload_ids: list[str] = []
        self.outbox: list[OutboxEntry] = []

    def teardown(self) -> None:
        self.backend.close()

    # --- partners and lists ---

    @initialize(
        target=lists, first=FILES, second=FILES, repeat=REPEATS, priorities=st.tuples(PRIORITIES, PRIORITIES)
    )
    def set_up(
        self, first: list[str], second: list[str], repeat: RepeatPolicy, priorities: tuple[int, int]
    ) -> MultipleResults[str]:
        """Begin in the middle: lists of one partner, and of one tag, that have codes and serve a campaign."""
        for partner in ("Puma", "Amazon"):
            self.add_partner(partner)
        lists = [
            self.new_list(partner, tag, days, threshold)
            for partner, tag, days, threshold in (
                ("Puma", "sale", 4, 1),
                ("Puma", "vip", 7, None),
                ("Amazon", "sale", 5, None),
            )
        ]
        self.add_file(lists[0], first)
        self.add_file(lists[1], second)
        # The younger list first, so that age alone does not tell the order.
        self.link(lists[1], "CMP1", repeat, priorities[0])
        self.link(lists[0], "CMP1", repeat, priorities[1])
        return multiple(*lists)

    @rule(name=PARTNERS)
    def add_partner(self, name: str) -> None:
        self.both(lambda: self.model.add_partner(name), lambda: self.vouchers.partners.add(name))

    @rule(target=lists, partner=PARTNERS, tag=TAGS, days=st.integers(1, 9), threshold=THRESHOLDS)
    def create_list(self, partner: str, tag: str, days: int, threshold: int | None) -> New:
        created = self.both(
            lambda: self.model.require_creatable(partner, tag),
            lambda: self.new_list(partner, tag, days, threshold),
        )
        return multiple() if created is None else created[1]

    def new_list(self, partner: str, tag: str, days: int, threshold: int | None) -> str:
        expires_at = self.clock.now + timedelta(days=days)
        created = self.vouchers.lists.create(
            partner=partner, tag=tag.upper(), name="A list", expires_at=expires_at, low_stock_at=threshold
        )
        assert (created.tag, created.status) == (tag, Status.ACTIVE)
        self.model.create(created.id, partner, tag, "A list", expires_at, threshold)
        return created.id

    @rule(list_id=lists, contrary=st.sampled_from([False, False, False, True]))
    def pause_or_activate(self, list_id: str, contrary: bool) -> None:
        """Do what the list is due for, or now and then what it is not."""
        known = self.model.lists.get(list_id)
        if (known is not None and known.paused) is contrary:
            self.both(lambda: self.model.pause(list_id), lambda: self.vouchers.lists.pause(list_id))
        else:
            self.both(lambda: self.model.activate(list_id), lambda: self.vouchers.lists.activate(list_id))

    @rule(list_id=lists)
    def archive(self, list_id: str) -> None:
        done = self.both(
            lambda: self.model.archive(list_id), lambda: self.vouchers.lists.archive(list_id).campaign_ids
        )
        assert done is None or done[0] == list(done[1])

    @rule(list_id=lists)
    def delete(self, list_id: str) -> None:
        self.both(lambda: self.model.delete(list_id), lambda: self.vouchers.lists.delete(list_id))

    @rule(list_id=lists, days=DAYS)
    def extend_or_shorten(self, list_id: str, days: int) -> None:
        expires_at = self.clock.now + timedelta(days=days)
        self.both(
            lambda: self.model.edit(list_id, None, expires_at=expires_at),
            lambda: self.vouchers.lists.edit(list_id, expires_at=expires_at),
        )

    @rule(list_id=lists, threshold=THRESHOLDS)
    def set_threshold(self, list_id: str, threshold: int | None) -> None:
        self.both(
            lambda: self.model.edit(list_id, None, low_stock_at=threshold),
            lambda: self.vouchers.lists.edit(list_id, low_stock_at=threshold),
        )

    @rule(list_id=lists, name=st.sampled_from(["A list", "Another"]), behind=st.integers(0, 2))
    def edit_what_was_read(self, list_id: str, name: str, behind: int) -> None:
        known = self.model.lists.get(list_id)
        version = 1 if known is None else known.version - behind
        self.both(
            lambda: self.model.edit(list_id, version, name=name),
            lambda: self.vouchers.lists.edit(list_id, name=name, version=version),
        )

    @rule(list_id=lists, behind=st.integers(1, 3))
    def save_what_is_out_of_date(self, list_id: str, behind: int) -> None:
        with self.storage.begin() as tx:
            stored = tx.lists.get(list_id)
            if stored is not None:
                with pytest.raises(StaleVersion):
                    tx.lists.save(evolve(stored, name="Lost", version=stored.version + 1 - behind))
            tx.commit()

    # --- uploads ---

    @rule(list_id=lists, codes=FILES, force=st.booleans(), check_first=st.booleans())
    def upload(self, list_id: str, codes: list[str], force: bool, check_first: bool) -> None:
        self.add_file(list_id, codes, force, check_first)

    def add_file(
        self, list_id: str, codes: list[str], force: bool = False, check_first: bool = True
    ) -> Upload | None:
        file = csv_file(codes)
        if check_first:
            self.validate(list_id, file, codes, force)
        done = self.both(
            lambda: self.model.judge(list_id, file, codes, force=force),
            lambda: self.vouchers.uploads.add(
                list_id, file, filename="codes.csv", uploaded_by="ops", force=force
            ),
        )
        if done is None:
            return None
        verdict, upload = done
        assert upload.status is (UploadStatus.COMPLETED if verdict.accepted else UploadStatus.FAILED)
        assert (upload.accepted, upload.total) == (len(verdict.accepted), len(codes))
        assert upload.errors == verdict.errors
        faulty = [fault.raw for fault in self.vouchers.uploads.errors(upload.id)]
        assert Counter(faulty) == Counter(codes) - Counter(verdict.accepted)
        assert self.vouchers.uploads.original_file(upload.id).read() == file
        self.model.upload(upload.id, list_id, file, verdict)
        self.upload_ids.append(upload.id)
        return upload

    def validate(self, list_id: str, file: bytes, codes: list[str], force: bool) -> None:
        done = self.both(
            lambda: self.model.judge(list_id, file, codes, force=force),
            lambda: self.vouchers.uploads.validate(list_id, file, filename="codes.csv", force=force),
        )
        if done is not None:
            verdict, validation = done
            assert (validation.acceptable, validation.total) == (len(verdict.accepted), len(codes))
            assert validation.errors == verdict.errors

    @rule(list_id=lists, code=CODES)
    def upload_what_was_explained(self, list_id: str, code: str) -> None:
        """What `explain_duplicate` says is what an upload of that code then does."""
        done = self.both(
            lambda: self.model.require(list_id),
            lambda: self.vouchers.uploads.explain_duplicate(list_id, code),
        )
        if done is None:
            return
        _, explained = done
        assert (explained and explained.list_id) == self.model.holder(list_id, code)
        upload = self.add_file(list_id, [code], force=True)
        if upload is None:
            return
        assert upload.errors == ({} if explained is None else {explained.kind: 1})
        if explained is not None:
            assert explained.policy == self.policy.name
            (fault,) = self.vouchers.uploads.errors(upload.id)
            assert fault.message == explained.message
            assert explained.kind is RowFaultKind.DUPLICATE_IN_LIST or explained.list_id in fault.message

    @rule(which=st.integers(0, 20), users=st.lists(USERS, max_size=4))
    def withdraw(self, which: int, users: list[str]) -> None:
        """Take an upload back, and go on with what is left of its list."""
        upload_id = self.upload_ids[which % len(self.upload_ids)]
        done = self.both(
            lambda: self.model.withdraw(upload_id),
            lambda: self.vouchers.uploads.withdraw(upload_id).withdrawn,
        )
        assert done is None or done[0] == done[1]
        if upload_id in self.model.uploads:
            self.assign_many(users, None, self.model.uploads[upload_id].list_id, None, True)

    @rule(which=st.integers(0, 20), list_id=lists)
    def move(self, which: int, list_id: str) -> None:
        """Take an upload back that went to the wrong list, and upload the same file to another one."""
        self.withdraw(which, [])
        known = self.model.uploads.get(self.upload_ids[which % len(self.upload_ids)])
        if known is not None:
            self.add_file(list_id, known.file.decode().splitlines())

    @rule(target=lists, list_id=lists, extra=st.lists(CODES, max_size=3))
    def begin_a_new_season(self, list_id: str, extra: list[str]) -> New:
        """Archive a list, and upload its codes to the one that follows it: they are free at once."""
        self.archive(list_id)
        old = self.model.lists.get(list_id)
        if old is None:
            return multiple()
        created = self.create_list(old.partner, old.tag, 6, None)
        if isinstance(created, str):
            self.add_file(created, [code.code for code in old.codes] + extra or ["C01"])
        return created

    # --- campaigns ---

    @rule(list_id=lists, campaign_id=CAMPAIGNS, repeat=REPEATS, priority=PRIORITIES)
    def link(self, list_id: str, campaign_id: str, repeat: RepeatPolicy, priority: int) -> None:
        self.both(
            lambda: self.model.link(list_id, campaign_id, repeat, priority),
            lambda: self.vouchers.campaigns.link(list_id, campaign_id, repeat=repeat, priority=priority),
        )

    @rule(list_id=lists, campaign_id=CAMPAIGNS)
    def unlink(self, list_id: str, campaign_id: str) -> None:
        self.both(
            lambda: self.model.unlink(list_id, campaign_id),
            lambda: self.vouchers.campaigns.unlink(list_id, campaign_id),
        )

    # --- assignment ---

    @rule(user_id=USERS, campaign_id=CAMPAIGNS, key=KEYS)
    def assign_from_campaign(self, user_id: str, campaign_id: str, key: str | None) -> None:
        self.assign(user_id, campaign_id, None, key)

    @rule(user_id=USERS, list_id=lists, key=KEYS)
    def assign_from_list(self, user_id: str, list_id: str, key: str | None) -> None:
        self.assign(user_id, None, list_id, key)

    def assign(self, user_id: str, campaign_id: str | None, list_id: str | None, key: str | None) -> None:
        done = self.both(
            lambda: self.model.assign(user_id, campaign_id, list_id, key),
            lambda: self.vouchers.codes.assign(
                user_id=user_id, campaign_id=campaign_id, list_id=list_id, idempotency_key=key
            ),
        )
        if done is not None:
            expected, reward = done
            assert answer(reward) == expected
            assert reward.event.voucher_code == reward.code

    @rule(users=st.lists(USERS, max_size=5), campaign_id=CAMPAIGNS, key=KEYS, partial=st.booleans())
    def assign_many_from_campaign(
        self, users: list[str], campaign_id: str, key: str | None, partial: bool
    ) -> None:
        self.assign_many(users, campaign_id, None, key, partial)

    @rule(users=st.lists(USERS, max_size=5), list_id=lists, key=KEYS, partial=st.booleans())
    def assign_many_from_list(self, users: list[str], list_id: str, key: str | None, partial: bool) -> None:
        self.assign_many(users, None, list_id, key, partial)

    def assign_many(
        self, users: list[str], campaign_id: str | None, list_id: str | None, key: str | None, partial: bool
    ) -> None:
        done = self.both(
            lambda: self.model.assign_many(users, campaign_id, list_id, key, partial),
            lambda: self.vouchers.codes.assign_many(
                users, campaign_id=campaign_id, list_id=list_id, idempotency_key=key, partial=partial
            ),
        )
        if done is not None:
            (answers, unserved), outcome = done
            assert [answer(reward) for reward in outcome.rewards] == answers
            assert list(outcome.unserved) == unserved

    @rule(
        list_id=lists,
        campaign_id=CAMPAIGNS,
        repeat=REPEATS,
        priority=PRIORITIES,
        users=st.tuples(USERS, USERS),
        change=st.sampled_from(["link", "unlink", "pause", "archive", "edit"]),
    )
    def assign_before_and_after_a_change(
        self,
        list_id: str,
        campaign_id: str,
        repeat: RepeatPolicy,
        priority: int,
        users: tuple[str, str],
        change: str,
    ) -> None:
        """What is remembered of a campaign must not outlive a change of its links and lists."""
        self.assign(users[0], campaign_id, None, None)
        match change:
            case "link":
                self.link(list_id, campaign_id, repeat, priority)
            case "unlink":
                self.unlink(list_id, campaign_id)
            case "pause":
                self.pause_or_activate(list_id, False)
            case "archive":
                self.archive(list_id)
            case _:
                self.extend_or_shorten(list_id, priority)
        self.assign(users[1], campaign_id, None, None)

    # --- time, and what does not happen ---

    @rule(days=st.integers(1, 3))
    def time_passes(self, days: int) -> None:
        self.clock.jump(days)
        self.model.now = self.clock.now

    @rule(list_id=lists, count=st.integers(1, 3), breaks=st.booleans())
    def transaction_is_left_without_commit(self, list_id: str, count: int, breaks: bool) -> None:
        try:
            with self.storage.begin() as tx:
                known = tx.lists.get(list_id)
                if known is not None:
                    tx.codes.take(list_id, count)
                    tx.lists.save(evolve(known, name="Lost", version=known.version + 1))
                    tx.campaigns.remove(list_id, "CMP1")
                    tx.keys.put("key-never", "fingerprint", ())
                if breaks:
                    raise _HostGivesUp
        except _HostGivesUp:
            pass

    @rule(list_id=lists, user_id=USERS, key=KEYS)
    def host_rolls_back(self, list_id: str, user_id: str, key: str | None) -> None:
        with self.backend.host_transaction() as transaction:
            inside = self.vouchers.using(transaction)
            for change in (
                lambda: inside.codes.assign(list_id=list_id, user_id=user_id, idempotency_key=key),
                lambda: inside.campaigns.link(list_id, "CMP2"),
                lambda: inside.lists.archive(list_id),
            ):
                try:
                    change()
                except PartnerVouchersError:
                    continue

    # --- what is always so ---

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self.lists_are_as_the_model_says()
        self.codes_are_as_the_model_says()
        self.users_have_what_the_model_says()
        self.no_code_stands_twice_in_a_scope()
        self.each_thing_is_told_once()

    def lists_are_as_the_model_says(self) -> None:
        shown = {view.id: view for view in self.vouchers.lists.find(limit=1000).items}
        assert shown.keys() == self.model.lists.keys()
        for list_id, known in self.model.lists.items():
            view = self.vouchers.lists.get(list_id)
            assert view == shown[list_id]
            assert view.status is self.model.status(known)
            assert (view.version, view.name, view.expires_at) == (known.version, known.name, known.expires_at)
            assert view.campaigns == len(self.model.campaigns_of(list_id))
            assert view.uploaded == len(known.codes)
            assert view.distributed == len(known.those(DISTRIBUTED))
            assert view.withdrawn == len(known.those(WITHDRAWN))
            assert view.available == len(known.those(AVAILABLE))
            assert view.uploaded == view.available + view.reserved + view.distributed + view.withdrawn

    def codes_are_as_the_model_says(self) -> None:
        ids: list[str] = []
        for list_id, known in self.model.lists.items():
            given = list(self.vouchers.codes.assignments(list_id))
            ids += [assignment.id for assignment in given]
            # In upload order: this is the order of the codes, whoever got them when.
            assert [assignment.code for assignment in given] == known.those(DISTRIBUTED)
            with self.vouchers.codes.export(list_id, remaining=True) as file:
                rows = list(csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
            assert [code for (code,) in rows[1:]] == known.those(AVAILABLE)
        assert len(ids) == len(set(ids)) == len(self.model.given)

    def users_have_what_the_model_says(self) -> None:
        for user_id in NAMES:
            tray = self.vouchers.codes.of_user(user_id)
            have = [Given(found.list_id, found.code, found.user_id, found.campaign_id) for found in tray]
            # In the order in which they were asked for, also where the clock stands still.
            counted: Counter[tuple[str | None, str | None]] = Counter()
            for found in tray:
                origin = (found.campaign_id, found.list_id if found.campaign_id is None else None)
                counted[origin] += 1
                assert found.ordinal == counted[origin]
            assert Counter(have) == Counter(each for each in self.model.given if each.user_id == user_id)
            assert all(
                any(found.user_id == user_id for found in self.vouchers.codes.holders(each.code))
                for each in have
            )

    def no_code_stands_twice_in_a_scope(self) -> None:
        standing: Counter[tuple[object, str]] = Counter()
        for list_id, known in self.model.lists.items():
            if known.archived:
                continue
            with self.vouchers.codes.export(list_id, remaining=True) as file:
                left = file.read().decode().split()[1:]
            given = [assignment.code for assignment in self.vouchers.codes.assignments(list_id)]
            standing.update((known.scope, code) for code in left + given)
        assert not [code for code, times in standing.items() if times > 1]

    def each_thing_is_told_once(self) -> None:
        with self.storage.begin(write=False) as tx:
            new = tx.outbox.read(self.outbox[-1].position if self.outbox else 0, 1000)
        positions = [entry.position for entry in self.outbox[-1:] + new]
        assert positions == sorted(set(positions))
        self.outbox += new
        told = [(entry.event.event_name, getattr(entry.event, "list_id", None)) for entry in new]
        assert Counter(told) == Counter(self.model.told)
        self.model.told.clear()
        assert all(entry.event.available >= 0 for entry in new if isinstance(entry.event, StockEvent))
        rewarded = [
            Given(event.list_id, event.voucher_code, event.user_id, event.campaign_id)
            for entry in self.outbox
            if isinstance(event := entry.event, VoucherRewarded)
        ]
        assert Counter(rewarded) == Counter(self.model.given)

    def both(self, of_model: Callable[[], T], of_library: Callable[[], U]) -> tuple[T, U] | None:
        """Ask both; None where both refuse, with the same error."""
        try:
            expected = of_model()
        except Refused as refused:
            must_raise = refused.error
        else:
            return expected, of_library()
        with pytest.raises(must_raise) as raised:
            of_library()
        # Not a relative of it.
        assert raised.type is must_raise
        return None


class _HostGivesUp(Exception):
    pass


def answer(reward: Reward) -> Answer:
    return Given(reward.list_id, reward.code, reward.user_id, reward.campaign_id), reward.replayed


# Each policy in memory, one of them in SQLite, and all of them everywhere with `-m deep`: a storage keeps the scope
# that a policy names, and knows no policy. The contract runs a state machine on PostgreSQL too.
on_backends = pytest.mark.parametrize(
    "open_backend, policy, scope",
    [
        pytest.param(
            backend,
            policy,
            scope,
            id=f"{policy.name}-{backend.__name__}",
            marks=() if backend is InMemory or (backend, policy) == (InSQLite, ONE) else pytest.mark.deep,
        )
        for policy, scope in POLICIES
        for backend in (InMemory, InSQLite, InPostgres)
    ],
)


@on_backends
def test_the_invariants_hold_after_any_operations(
    open_backend: Callable[[], Backend], policy: DuplicatePolicy, scope: ScopeRule
) -> None:
    class Machine(VoucherMachine):
        def __init__(self) -> None:
            super().__init__(open_backend, policy, scope)

    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=50))
