"""The contract of a storage: all suites in one class."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from partner_vouchers.testing.machine import StorageMachine
from partner_vouchers.testing.suites.codes import AssignmentSuite, CodeSuite
from partner_vouchers.testing.suites.concurrency import ProcessSuite, ThreadSuite
from partner_vouchers.testing.suites.deliveries import DeliverySuite, OutboxSuite
from partner_vouchers.testing.suites.exact_values import CompleteAnswerSuite, ExactValueSuite
from partner_vouchers.testing.suites.imports import ImportSuite
from partner_vouchers.testing.suites.joining import JoiningSuite
from partner_vouchers.testing.suites.lists import CampaignSuite, ListSuite
from partner_vouchers.testing.suites.lookups import LookUpSuite
from partner_vouchers.testing.suites.records import JournalSuite, LeaseSuite, UploadSuite
from partner_vouchers.testing.suites.reservations import LimitSuite, ReservationSuite
from partner_vouchers.testing.suites.revocations import RedemptionSuite, RevocationSuite
from partner_vouchers.testing.suites.transactions import TransactionSuite


# pytest runs the tests of the last base first: the round trips of one thing come before what needs several.
class StorageContract(
    ProcessSuite,
    ThreadSuite,
    JoiningSuite,
    CompleteAnswerSuite,
    ExactValueSuite,
    RedemptionSuite,
    DeliverySuite,
    OutboxSuite,
    LimitSuite,
    RevocationSuite,
    ReservationSuite,
    AssignmentSuite,
    ImportSuite,
    CodeSuite,
    TransactionSuite,
    JournalSuite,
    UploadSuite,
    CampaignSuite,
    LookUpSuite,
    ListSuite,
    LeaseSuite,
):
    """The tests that every storage passes. Subclass it as `Test…` and implement the hooks.

    `new_storage` is required; each other hook either does what it says or returns `unsupported("why not")`.
    """

    def test_any_sequence_of_operations(self) -> None:
        """Run `StorageMachine`; a Hypothesis profile with more examples makes it search longer."""
        unhurried = settings(
            max_examples=max(6, settings().max_examples // 8),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        run_state_machine_as_test(lambda: StorageMachine(self), settings=unhurried)  # type: ignore[arg-type]
