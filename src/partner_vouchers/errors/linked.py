"""Linked content of messages."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class LinkedContentError(PartnerVouchersError):
    """A source of linked content could not give what it was asked for.

    Attributes:
        reason: what happened, and what to do.
    """

    code: ClassVar[str] = "linked_content_error"
    reason: str

    def __str__(self) -> str:
        return self.reason


class NoLinkedContent(LinkedContentError):
    """A source has nothing for this user, so that a template may put a default in its place."""

    code = "no_linked_content"


@structured
class ParameterMissing(LinkedContentError):
    """A mandatory parameter of linked content was not given, or is empty; the source was not asked.

    Attributes:
        parameter: the name of the parameter.
    """

    code: ClassVar[str] = "parameter_missing"
    parameter: str
    reason: str = "a mandatory parameter is missing"

    def __str__(self) -> str:
        return f"the parameter {self.parameter!r} is mandatory; pass it in `parameters=`"


@structured
class VoucherifyError(LinkedContentError):
    """Voucherify refused a request, or its answer cannot be used.

    What Voucherify wrote may name a voucher code, so it stands in attributes and never in the text of the error.

    Attributes:
        status: the HTTP status.
        key: the kind of error in Voucherify's words, such as `"not_found"`, or None.
        message: Voucherify's short description, or None.
        details: Voucherify's longer description, or None.
        request_id: what to tell Voucherify's support, or None.
    """

    code: ClassVar[str] = "voucherify_error"
    status: int
    key: str | None = None
    message: str | None = None
    details: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        request = "" if self.request_id is None else f", request {self.request_id}"
        return f"Voucherify answered {self.status} {self.key or 'without a key'}{request}: {self.reason}"


class VoucherifyCredentialsRefused(VoucherifyError):
    """Voucherify did not accept the App ID and App Token, or they may not publish."""

    code = "voucherify_credentials_refused"


class VoucherifyNothingToPublish(VoucherifyError, NoLinkedContent):
    """The campaign has no voucher left that Voucherify could publish."""

    code = "voucherify_nothing_to_publish"


class VoucherifyNotFound(VoucherifyError):
    """Voucherify knows no campaign or voucher of this name."""

    code = "voucherify_not_found"


@structured
class VoucherifyRateLimited(VoucherifyError):
    """Voucherify has had too many calls, also after waiting; nothing was published.

    Attributes:
        retry_after: how many seconds Voucherify asked to wait, or None.
    """

    code: ClassVar[str] = "voucherify_rate_limited"
    retry_after: float | None = None


@structured
class VoucherifyUnreachable(LinkedContentError):
    """There was no answer from Voucherify.

    Attributes:
        sent: whether the request may have been carried out, so that a code may have been published.
    """

    code: ClassVar[str] = "voucherify_unreachable"
    sent: bool
