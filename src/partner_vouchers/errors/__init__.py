"""Every error that the library raises.

One root, `PartnerVouchersError`. Each class has a stable `code` for programs, attributes that carry
the facts, and a message that says what to do next. Errors of drivers never leak: an adapter turns
them into a `StorageError`. A voucher code is a secret and never stands in an error.

Example:
    >>> try:
    ...     raise UnknownPartner(name="Puma")
    ... except PartnerVouchersError as error:
    ...     print(error.code, "|", error)
    unknown_partner | there is no partner 'Puma'; add it with partners.add('Puma')
"""

from partner_vouchers.errors.assignment import (
    CodesExhausted,
    IdempotencyConflict,
    NoActiveList,
    NoCodeAvailable,
    NotEligible,
)
from partner_vouchers.errors.base import PartnerVouchersError
from partner_vouchers.errors.delivery import SinkUnavailable
from partner_vouchers.errors.existence import (
    CampaignNotLinked,
    NotLinked,
    OriginalNotKept,
    PartnerExists,
    TagTaken,
    UnknownEligibilityRule,
    UnknownList,
    UnknownPartner,
    UnknownUpload,
)
from partner_vouchers.errors.inputs import (
    ExpiryNotInFuture,
    InvalidCursor,
    InvalidEvent,
    InvalidIdempotencyKey,
    InvalidInput,
    InvalidPartnerName,
    InvalidTag,
    NaiveDatetime,
    SourceUnreadable,
)
from partner_vouchers.errors.linked import (
    LinkedContentError,
    NoLinkedContent,
    ParameterMissing,
    VoucherifyCredentialsRefused,
    VoucherifyError,
    VoucherifyNotFound,
    VoucherifyNothingToPublish,
    VoucherifyRateLimited,
    VoucherifyUnreachable,
)
from partner_vouchers.errors.lists import ActionNotAllowed, ListDistributed, ListLinked, StaleVersion
from partner_vouchers.errors.messages import LinkedContentFailed, MessageError
from partner_vouchers.errors.storage import (
    CommitOutcomeUnknown,
    ConnectionLost,
    DuplicatePolicyMismatch,
    HostTransactionError,
    NotAPartnerVouchersStorage,
    SchemaTooNew,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageNotMigrated,
    StorageUnavailable,
    TransactionConflict,
)
from partner_vouchers.errors.uploads import FileAlreadyUploaded, UploadInterrupted, UploadRunning

__all__ = [
    "ActionNotAllowed",
    "CampaignNotLinked",
    "CodesExhausted",
    "CommitOutcomeUnknown",
    "ConnectionLost",
    "DuplicatePolicyMismatch",
    "ExpiryNotInFuture",
    "FileAlreadyUploaded",
    "HostTransactionError",
    "IdempotencyConflict",
    "InvalidCursor",
    "InvalidEvent",
    "InvalidIdempotencyKey",
    "InvalidInput",
    "InvalidPartnerName",
    "InvalidTag",
    "LinkedContentError",
    "LinkedContentFailed",
    "ListDistributed",
    "ListLinked",
    "MessageError",
    "NaiveDatetime",
    "NoActiveList",
    "NoCodeAvailable",
    "NoLinkedContent",
    "NotAPartnerVouchersStorage",
    "NotEligible",
    "NotLinked",
    "OriginalNotKept",
    "ParameterMissing",
    "PartnerExists",
    "PartnerVouchersError",
    "SchemaTooNew",
    "SinkUnavailable",
    "SourceUnreadable",
    "StaleVersion",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "StorageNotMigrated",
    "StorageUnavailable",
    "TagTaken",
    "TransactionConflict",
    "UnknownEligibilityRule",
    "UnknownList",
    "UnknownPartner",
    "UnknownUpload",
    "UploadInterrupted",
    "UploadRunning",
    "VoucherifyCredentialsRefused",
    "VoucherifyError",
    "VoucherifyNotFound",
    "VoucherifyNothingToPublish",
    "VoucherifyRateLimited",
    "VoucherifyUnreachable",
]

# An error is known by the name under which it is imported, also in tracebacks and pickles.
for _name in __all__:
    globals()[_name].__module__ = __name__
