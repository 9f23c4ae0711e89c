"""What the processes of these tests do. Each function runs in a process of its own and opens the storage itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from partner_vouchers import PartnerVouchers, PerPartner
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.errors import CodesExhausted, DuplicatePolicyMismatch, PartnerVouchersError
from tests.concurrency.teams import Line, in_threads, name_of
from tests.concurrency.watched import WatchedStorage
from tests.support.places import Place, SharedStorage, opened

Call = tuple[str, str, dict[str, Any]]
"""The group, the method and the arguments of a call."""


def open_library(place: Place) -> tuple[SharedStorage, PartnerVouchers]:
    storage = opened(place)
    return storage, PartnerVouchers(storage, duplicates=PerPartner())


def assign_until_exhausted(vouchers: PartnerVouchers, list_id: str, name: str) -> list[tuple[str, str]]:
    """Ask for codes for one new user after the other; return who got which."""
    got: list[tuple[str, str]] = []
    while True:
        user_id = f"{name}-{len(got)}"
        try:
            got.append((user_id, vouchers.codes.assign(list_id=list_id, user_id=user_id).code))
        except CodesExhausted:
            return got


def call(_: Line, place: Place, calls: Sequence[Call]) -> list[Any]:
    """Call methods of the library's groups one after the other; return each answer, or the code of its error."""
    storage, vouchers = open_library(place)
    answers: list[Any] = []
    with closing(storage):
        for group, method, arguments in calls:
            try:
                answers.append(getattr(getattr(vouchers, group), method)(**arguments))
            except PartnerVouchersError as error:
                answers.append(error.code)
    return answers


def redeem(_: Line, place: Place, code: str, orders: list[str]) -> list[str]:
    """Redeem a code with one order after the other; return what came of each."""
    _storage, vouchers = open_library(place)
    outcomes: list[str] = []
    for order_id in orders:
        try:
            outcomes.append(vouchers.redemptions.add(code, order_id).order_id or "")
        except PartnerVouchersError as error:
            outcomes.append(error.code)
    return outcomes


def revert(_: Line, place: Place, codes: list[str], order_id: str) -> list[datetime | None]:
    """Revert redemptions of codes."""
    _storage, vouchers = open_library(place)
    return [vouchers.redemptions.revert(code, order_id).reverted_at for code in codes]


def reconcile(_: Line, place: Place, list_id: str, content: bytes) -> dict[str, int]:
    """Reconcile a file."""
    _storage, vouchers = open_library(place)
    report = vouchers.redemptions.upload(content, list_id=list_id, filename="used.csv", uploaded_by="ops")
    return {kind.value: count for kind, count in report.counts.items()}


def drain(_: Line, place: Place, list_id: str, name: str, threads: int) -> list[tuple[str, str]]:
    """Assign in threads until nothing is left."""
    storage, vouchers = open_library(place)
    jobs = [
        (lambda number=number: assign_until_exhausted(vouchers, list_id, f"{name}-{number}"))
        for number in range(threads)
    ]
    return [one for got in in_threads(storage, jobs) for one in got]


def open_and_add(_: Line, place: Place, policy: DuplicatePolicy, partner: str) -> str | None:
    """Open a storage that may not exist yet, and add a partner; return the policy that it was set up with."""
    storage = opened(place)
    try:
        PartnerVouchers(storage, duplicates=policy).partners.add(partner)
    except DuplicatePolicyMismatch as mismatch:
        return mismatch.stored
    else:
        return policy.name
    finally:
        storage.close()


def upload_with_stops(
    line: Line, place: Place, list_id: str, file: bytes, stops: list[str]
) -> tuple[int, int, dict[str, int]]:
    """Upload a file; stop at steps, such as `claiming` or `2 claiming` for the second of that name.

    Return accepted, refused, and how often each step was taken.
    """
    os.environ["PGAPPNAME"] = name_of(os.getpid())
    storage = opened(place, synchronous="FULL")
    reached = Counter[str]()

    def reach(step: str) -> None:
        reached[step] += 1
        if stops and stops[0] in (step, f"{reached[step]} {step}"):
            line.say(stops.pop(0))
            assert line.hear() == "go on"

    vouchers = PartnerVouchers(WatchedStorage(storage, reach), duplicates=PerPartner())
    done = vouchers.uploads.add(list_id, file, filename="large.csv", uploaded_by="ops")
    storage.close()
    return done.accepted, done.error_count, dict(reached)


def revoke_each(_: Line, place: Place, assignment_ids: list[str]) -> list[tuple[str, str]]:
    """Revoke assignments with restock; return each with the reason of its revocation, which names the first process."""
    _storage, vouchers = open_library(place)
    reason = f"process {os.getpid()}"
    return [
        (each, vouchers.codes.revoke(each, restock=True, force=True, reason=reason).reason or "")
        for each in assignment_ids
    ]


def assign_and_revoke(_: Line, place: Place, list_id: str, name: str, times: int) -> int:
    """Ask for codes, and return each to the list at once; return how often there was one."""
    _storage, vouchers = open_library(place)
    served = 0
    for number in range(times):
        try:
            reward = vouchers.codes.assign(list_id=list_id, user_id=f"{name}-{number}")
        except CodesExhausted:
            continue
        served += 1
        vouchers.codes.revoke(reward.id, restock=True, force=True)
    return served
