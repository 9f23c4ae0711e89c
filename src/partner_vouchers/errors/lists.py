"""The state of a voucher list does not allow something."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class ActionNotAllowed(PartnerVouchersError):
    """The status of the list does not allow this action; nothing was changed.

    Attributes:
        list_id: the list.
        status: its status at the call, such as `"Expired"`.
        action: what was asked for, such as `"pause"`.
        allowed: the actions that the status does allow.
    """

    code: ClassVar[str] = "action_not_allowed"
    list_id: str
    status: str
    action: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        allowed = ", ".join(self.allowed) or "nothing"
        return f"list {self.list_id} is {self.status}: {self.action} is not allowed; allowed: {allowed}"


@structured
class StaleVersion(PartnerVouchersError):
    """The list was changed by somebody else since it was read; nothing was changed now.

    Attributes:
        list_id: the list.
        expected: the version that the caller had.
        actual: the version that is stored.
    """

    code: ClassVar[str] = "stale_version"
    list_id: str
    expected: int
    actual: int

    def __str__(self) -> str:
        return (
            f"list {self.list_id} is at version {self.actual}, not {self.expected}; "
            f"read it again with lists.get and repeat the change"
        )


@structured
class ListLinked(PartnerVouchersError):
    """A list cannot be deleted while campaigns are linked to it."""

    code: ClassVar[str] = "list_linked"
    list_id: str
    campaign_ids: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"list {self.list_id} is linked to {', '.join(self.campaign_ids)}; "
            f"unlink it with campaigns.unlink before deleting it"
        )


@structured
class ListDistributed(PartnerVouchersError):
    """A list cannot be deleted once a code of it was given out."""

    code: ClassVar[str] = "list_distributed"
    list_id: str
    distributed: int

    def __str__(self) -> str:
        return (
            f"{self.distributed} codes of list {self.list_id} were given out or are reserved; "
            f"archive it instead of deleting it"
        )
