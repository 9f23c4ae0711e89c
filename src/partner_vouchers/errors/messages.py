"""Messages."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class MessageError(PartnerVouchersError):
    """A message template is wrong, or rendering it failed.

    Attributes:
        reason: what is wrong.
        line: the line of the template, from 1, or None where it is not known.
        column: the column in that line, from 1, or None where it is not known.
    """

    code: ClassVar[str] = "message_error"
    reason: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return f"message template: {where}{self.reason}"


@structured
class LinkedContentFailed(MessageError):
    """A message needs linked content that could not be had.

    Attributes:
        name: the name of the linked content in the template.
        cause: what its source said, or None where the source raised an error of its own kind.
    """

    code: ClassVar[str] = "linked_content_failed"
    name: str
    cause: PartnerVouchersError | None = None
