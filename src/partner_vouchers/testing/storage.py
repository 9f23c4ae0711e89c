"""The contract of a storage: all clauses in one class."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from partner_vouchers.testing.clauses.campaigns import CampaignClauses, PartnerClauses
from partner_vouchers.testing.clauses.codes import AssignmentClauses, CodeClauses, IdempotencyClauses
from partner_vouchers.testing.clauses.concurrency import ProcessClauses, ThreadClauses
from partner_vouchers.testing.clauses.deliveries import DeliveryClauses, OutboxClauses
from partner_vouchers.testing.clauses.exact_values import CompleteAnswerClauses, ExactValueClauses
from partner_vouchers.testing.clauses.imports import ImportClauses
from partner_vouchers.testing.clauses.joining import JoiningClauses
from partner_vouchers.testing.clauses.lists import ListClauses
from partner_vouchers.testing.clauses.lookups import LookUpClauses
from partner_vouchers.testing.clauses.records import JournalClauses, LeaseClauses, UploadClauses
from partner_vouchers.testing.clauses.redemptions import RedemptionClauses
from partner_vouchers.testing.clauses.reservations import (
    DayClauses,
    LimitClauses,
    RefusalClauses,
    ReservationClauses,
)
from partner_vouchers.testing.clauses.revocations import RevocationClauses
from partner_vouchers.testing.clauses.transactions import TransactionClauses
from partner_vouchers.testing.machine import StorageMachine


# pytest runs the tests of the last base first: the round trips of one thing come before what needs several.
class StorageContract(
    ProcessClauses,
    ThreadClauses,
    JoiningClauses,
    CompleteAnswerClauses,
    ExactValueClauses,
    RedemptionClauses,
    DeliveryClauses,
    OutboxClauses,
    RefusalClauses,
    LimitClauses,
    RevocationClauses,
    ReservationClauses,
    DayClauses,
    IdempotencyClauses,
    AssignmentClauses,
    ImportClauses,
    CodeClauses,
    TransactionClauses,
    JournalClauses,
    UploadClauses,
    CampaignClauses,
    LookUpClauses,
    ListClauses,
    PartnerClauses,
    LeaseClauses,
):
    """The tests that every storage passes. Subclass it as `Test…` and implement the hooks.

    `new_storage` is required; each other hook either does what it says or returns `unable("why not")`.
    """

    def test_any_sequence_of_operations(self) -> None:
        """Run `StorageMachine`; a Hypothesis profile with more examples makes it search longer."""
        examples = max(10, settings().max_examples // 3)
        unhurried = settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        run_state_machine_as_test(lambda: StorageMachine(self), settings=unhurried)  # type: ignore[arg-type]
