"""Properties of whole sequences of operations: what uploads add up to, and that all storages agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers import PartnerVouchers, PartnerVouchersError, PerPartner, RepeatPolicy
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.ports import ListOrder
from partner_vouchers.testing.driver import outbox
from tests.properties.backends import START, Backend, Clock, InMemory, InPostgres, InSQLite, csv_file
from tests.properties.test_invariants import (
    CAMPAIGNS,
    CODES,
    FILES,
    KEYS,
    NAMES,
    PARTNERS,
    REPEATS,
    TAGS,
    THRESHOLDS,
    USERS,
    on_backends,
)

PLACES = [("Puma", "sale"), ("Puma", "vip"), ("Amazon", "sale")]


@on_backends
@given(files=st.lists(st.tuples(st.integers(0, 2), st.lists(CODES, min_size=1, max_size=8)), max_size=8))
def test_of_any_interleaved_uploads_the_first_of_each_code_in_a_scope_is_accepted(
    open_backend: Callable[[], Backend],
    policy: DuplicatePolicy,
    scope: Callable[[str, str], object],
    files: list[tuple[int, list[str]]],
) -> None:
    with closing(open_backend()) as backend:
        vouchers = PartnerVouchers(backend.storage, duplicates=policy, clock=Clock())
        for partner in ("Puma", "Amazon"):
            vouchers.partners.add(partner)
        expires_at = START + timedelta(days=1)
        lists = [
            vouchers.lists.create(partner=partner, tag=tag, name="A list", expires_at=expires_at).id
            for partner, tag in PLACES
        ]
        expected: dict[str, list[str]] = {list_id: [] for list_id in lists}
        standing: set[tuple[object, str]] = set()
        for index, codes in files:
            new: list[str] = []
            for code in codes:
                if (scope(*PLACES[index]), code) not in standing:
                    standing.add((scope(*PLACES[index]), code))
                    new.append(code)
            upload = vouchers.uploads.add(
                lists[index], csv_file(codes), filename="codes.csv", uploaded_by="ops", force=True
            )
            assert upload.accepted == len(new)
            expected[lists[index]] += new
        for list_id, codes in expected.items():
            with vouchers.codes.export(list_id, remaining=True) as file:
                assert file.read().decode().split()[1:] == codes


@dataclass(frozen=True)
class Asked:
    """One operation on a world of lists, which are named by the order of their creation."""

    does: str
    arguments: tuple[object, ...]


def asked(does: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Asked]:
    return st.tuples(*arguments).map(lambda drawn: Asked(does, drawn))


LISTS = st.integers(0, 3)
DAYS = st.integers(-1, 6)
ANYTHING = st.one_of(
    asked("create", PARTNERS, TAGS, DAYS, THRESHOLDS),
    asked("pause", LISTS),
    asked("activate", LISTS),
    asked("archive", LISTS),
    asked("delete", LISTS),
    asked("edit", LISTS, DAYS, THRESHOLDS, st.none() | st.integers(1, 4)),
    asked("upload", LISTS, FILES, st.booleans()),
    asked("upload", LISTS, FILES, st.booleans()),
    asked("validate", LISTS, FILES),
    asked("withdraw", st.integers(0, 5)),
    asked("explain", LISTS, CODES),
    asked("link", LISTS, CAMPAIGNS, REPEATS, st.integers(0, 2)),
    asked("unlink", LISTS, CAMPAIGNS),
    asked("assign", USERS, CAMPAIGNS, st.none(), KEYS),
    asked("assign", USERS, st.none(), LISTS, KEYS),
    asked("assign many", st.lists(USERS, max_size=4), CAMPAIGNS, st.none(), KEYS, st.booleans()),
    asked("assign many", st.lists(USERS, max_size=4), st.none(), LISTS, KEYS, st.booleans()),
    asked("wait", st.integers(1, 3)),
)


class Source(TypedDict):
    campaign_id: str | None
    list_id: str | None
    idempotency_key: str | None


class World:
    """The library on one storage. What it shows does not depend on the ids that the storage gives."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._clock = Clock()
        self._vouchers = PartnerVouchers(backend.storage, duplicates=PerPartner(), clock=self._clock)
        self._lists: list[str] = []
        self._uploads: list[str] = []
        for partner in ("Puma", "Amazon"):
            self._vouchers.partners.add(partner)
        self.do(Asked("create", ("Puma", "sale", 3, 1)))
        self.do(Asked("create", ("Puma", "vip", 4, None)))

    def do(self, it: Asked) -> object:
        """Do something; return what came of it."""
        try:
            return list(self._do(it))
        except PartnerVouchersError as error:
            facts = {name: self._named(name, value) for name, value in vars(error).items()}
            return error.code, facts

    def _do(self, it: Asked) -> Iterator[object]:
        vouchers = self._vouchers
        expires = timedelta
        match it.does, *it.arguments:
            case "create", str(partner), str(tag), int(days), threshold:
                at = self._clock.now + expires(days)
                low = threshold if isinstance(threshold, int) else None
                created = vouchers.lists.create(
                    partner=partner, tag=tag, name=f"{partner} {tag}", expires_at=at, low_stock_at=low
                )
                self._lists.append(created.id)
            case "pause" | "activate" | "archive" | "delete" as action, int(which):
                getattr(vouchers.lists, str(action))(self._list(which))
            case "edit", int(which), int(days), threshold, version:
                vouchers.lists.edit(
                    self._list(which),
                    expires_at=self._clock.now + expires(days),
                    low_stock_at=threshold if isinstance(threshold, int) else None,
                    version=version if isinstance(version, int) else None,
                )
            case "upload", int(which), list(codes), bool(force):
                upload = vouchers.uploads.add(
                    self._list(which), csv_file(codes), filename="c.csv", uploaded_by="ops", force=force
                )
                self._uploads.append(upload.id)
                yield upload.status, upload.accepted, upload.total, upload.errors, upload.failure
                yield [(fault.line, fault.raw, fault.kind) for fault in vouchers.uploads.errors(upload.id)]
            case "validate", int(which), list(codes):
                found = vouchers.uploads.validate(self._list(which), csv_file(codes), filename="c.csv")
                yield found.acceptable, found.total, found.errors, found.failure
                yield [(fault.line, fault.raw, fault.kind) for fault in found.sample]
            case "withdraw", int(which):
                upload_id = self._uploads[which] if which < len(self._uploads) else "999"
                yield vouchers.uploads.withdraw(upload_id).withdrawn
            case "explain", int(which), str(code):
                explained = vouchers.uploads.explain_duplicate(self._list(which), code)
                yield explained and (explained.kind, self._named("list_id", explained.list_id))
            case "link", int(which), str(campaign), RepeatPolicy() as repeat, int(priority):
                vouchers.campaigns.link(self._list(which), campaign, repeat=repeat, priority=priority)
            case "unlink", int(which), str(campaign):
                vouchers.campaigns.unlink(self._list(which), campaign)
            case "assign", str(user), campaign, which, key:
                reward = vouchers.codes.assign(user_id=user, **self._from(campaign, which, key))
                yield self._named("list_id", reward.list_id), reward.code, reward.replayed
            case "assign many", list(users), campaign, which, key, bool(partial):
                outcome = vouchers.codes.assign_many(
                    users, partial=partial, **self._from(campaign, which, key)
                )
                yield [(each.user_id, each.code, each.replayed) for each in outcome.rewards], outcome.unserved
            case "wait", int(days):
                self._clock.jump(days)
            case _:
                raise AssertionError(it)

    def everything(self) -> dict[str, object]:
        """Return all that the library shows."""
        vouchers = self._vouchers
        shown: dict[str, object] = {}
        for order in ListOrder:
            for sort in (order.value, f"-{order.value}"):
                shown[sort] = list(self._pages(sort))
        for number, list_id in enumerate(self._lists):
            if list_id not in self._existing():
                continue
            with vouchers.codes.export(list_id, remaining=True) as left:
                shown[f"left {number}"] = left.read()
            with vouchers.codes.export(list_id) as distributed:
                shown[f"distributed {number}"] = distributed.read()
            links = vouchers.campaigns.of_list(list_id)
            shown[f"links {number}"] = [(link.campaign_id, link.repeat, link.priority) for link in links]
            log = vouchers.uploads.find(list_id=list_id).items
            shown[f"uploads {number}"] = [
                (upload.accepted, upload.withdrawn, upload.status) for upload in log
            ]
        for user_id in NAMES:
            shown[user_id] = [
                (found.code, found.campaign_id, found.ordinal) for found in vouchers.codes.of_user(user_id)
            ]
        for code in (f"C{number:02}" for number in range(1, 25)):
            shown[code] = [(found.user_id, found.campaign_id) for found in vouchers.codes.holders(code)]
        shown["told"] = [
            (entry.event.event_name, self._named("list_id", getattr(entry.event, "list_id", None)))
            for entry in outbox(self._backend.storage)
        ]
        return shown

    def _pages(self, sort: str) -> Iterator[object]:
        after: str | None = None
        while True:
            page = self._vouchers.lists.find(sort=sort, after=after, limit=2)
            for view in page.items:
                yield (
                    self._lists.index(view.id),
                    (view.partner, view.tag, view.status, view.version, view.campaigns),
                    (view.uploaded, view.distributed, view.withdrawn, view.available),
                    (view.updated_at, view.expires_at, view.low_stock_at),
                )
            if page.next is None:
                return
            after = page.next

    def _existing(self) -> set[str]:
        return {view.id for view in self._vouchers.lists.find(limit=1000).items}

    def _list(self, which: int) -> str:
        return self._lists[which] if which < len(self._lists) else "999"

    def _from(self, campaign: object, which: object, key: object) -> Source:
        return {
            "campaign_id": campaign if isinstance(campaign, str) else None,
            "list_id": self._list(which) if isinstance(which, int) else None,
            "idempotency_key": key if isinstance(key, str) else None,
        }

    def _named(self, name: str, value: object) -> object:
        """Return a fact without the ids that a storage gives."""
        if name == "list_id" and isinstance(value, str):
            return self._lists.index(value) if value in self._lists else value
        if name == "lists" and isinstance(value, tuple):
            return [(self._named("list_id", list_id), reason) for list_id, reason in value]
        if name == "upload_id" and isinstance(value, str):
            return self._uploads.index(value) if value in self._uploads else value
        return value


@pytest.mark.parametrize("open_backend", [InSQLite, InPostgres])
@given(operations=st.lists(ANYTHING, max_size=40))
def test_all_storages_show_the_same_after_the_same_operations(
    open_backend: Callable[[], Backend], operations: Sequence[Asked]
) -> None:
    with closing(InMemory()) as memory, closing(open_backend()) as other:
        in_memory, in_other = World(memory), World(other)
        for operation in operations:
            assert in_memory.do(operation) == in_other.do(operation), operation
        assert in_memory.everything() == in_other.everything()
