"""The invariants of codes, after any sequence of operations: the machine of the kit, under each duplicate policy.

The contract runs it under the default policy on each storage.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from partner_vouchers import Everywhere, PerPartner, PerPartnerAndTag
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.testing import StorageContract, StorageMachine
from tests.support.batches import set_sizes
from tests.support.contracts import LENT, InMemory, InPostgres, InSQLite


def search(adapter: type[StorageContract], policy: DuplicatePolicy, **options: Any) -> None:
    """Run the machine, with these settings instead of those of the profile."""
    try:
        run_state_machine_as_test(
            lambda: StorageMachine(adapter(), policy),  # type: ignore[arg-type]
            settings=settings(**options),
        )
    finally:
        LENT.give_back(lambda _: True)


def shown_name(value: object) -> str:
    return str(getattr(value, "name", getattr(value, "__name__", value)))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the few rows of a file be reconciled in several transactions."""
    set_sizes(monkeypatch, 2, 3)


@pytest.mark.parametrize("policy", [PerPartner(), Everywhere()], ids=shown_name)
def test_the_invariants_hold_under_each_policy(policy: DuplicatePolicy) -> None:
    search(InMemory, policy, max_examples=10, stateful_step_count=30)


# A storage keeps the scope that a policy names, and knows no policy: each policy in memory is enough.
@pytest.mark.deep
@pytest.mark.parametrize(
    "adapter, policy, examples",
    [
        (InMemory, PerPartnerAndTag(), 100),
        (InMemory, PerPartner(), 100),
        (InMemory, Everywhere(), 100),
        (InSQLite, PerPartnerAndTag(), 30),
        (InPostgres, PerPartnerAndTag(), 15),
    ],
    ids=shown_name,
)
def test_the_invariants_hold_after_many_more_operations(
    adapter: type[StorageContract], policy: DuplicatePolicy, examples: int
) -> None:
    search(adapter, policy, max_examples=examples, stateful_step_count=50)
