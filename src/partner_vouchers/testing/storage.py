"""The contract of a storage: all clauses in one class."""

from __future__ import annotations

from partner_vouchers.testing.clauses.codes import AssignmentClauses, CodeClauses, IdempotencyClauses
from partner_vouchers.testing.clauses.concurrency import ProcessClauses, ThreadClauses
from partner_vouchers.testing.clauses.imports import ImportClauses
from partner_vouchers.testing.clauses.joining import JoiningClauses
from partner_vouchers.testing.clauses.lists import CampaignClauses, ListClauses, LookUpClauses, PartnerClauses
from partner_vouchers.testing.clauses.records import JournalClauses, LeaseClauses, UploadClauses
from partner_vouchers.testing.clauses.transactions import TransactionClauses


class StorageContract(
    TransactionClauses,
    PartnerClauses,
    ListClauses,
    LookUpClauses,
    CampaignClauses,
    CodeClauses,
    ImportClauses,
    AssignmentClauses,
    IdempotencyClauses,
    UploadClauses,
    JournalClauses,
    LeaseClauses,
    JoiningClauses,
    ThreadClauses,
    ProcessClauses,
):
    """The tests that every storage passes. Subclass it as `Test…` and implement the hooks.

    `new_storage` is required; each other hook either does what it says or returns `unable("why not")`.
    """
